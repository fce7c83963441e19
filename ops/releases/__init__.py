"""Releases side by side: installed whole or not at all, tried beside live, taken up and gone back from."""
