"""How a process is: whether it lives and is ready, told to whoever asks, to Prometheus and to systemd."""
