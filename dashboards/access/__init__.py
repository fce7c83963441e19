"""Who is who: roles, users and tokens, sessions, and who asks."""
