"""One file a command; each exports `command`. `chaos.cli.table` lists them."""
