"""The commands, a module for each group. They import what they need when they run, so that --help is quick."""
