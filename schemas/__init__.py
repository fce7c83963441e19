"""What is on the wire, and how bytes become columns."""
