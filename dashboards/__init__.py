"""The shifter's page: data (read only) → figures (pure) → pages → callbacks."""
