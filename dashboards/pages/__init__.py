"""What stands where: pure layouts, made of a view."""
