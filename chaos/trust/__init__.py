"""Why verdicts can be believed: defects that must be found, and runs in which there is none to find."""
