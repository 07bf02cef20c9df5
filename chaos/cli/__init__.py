"""The commands: click only, one file each, loaded when they are called."""
