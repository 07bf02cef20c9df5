"""The commands, with the short help that `chaos --help` prints without importing any of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its name, the section of the help it stands in, and its first line of help."""

    name: str
    section: str
    says: str

    @property
    def module(self) -> str:
        """The module that exports it as `command`."""
        return f"chaos.cli.commands.{self.name}"


RUN = "Run"
READ = "Understand"
STACK = "Stacks"
SET_UP = "Set up"

COMMANDS: tuple[Entry, ...] = (
    Entry("run", RUN, "Run an experiment and give a verdict."),
    Entry("plan", RUN, "Show what a run would touch; touches nothing."),
    Entry("validate", RUN, "Check experiment files: every problem at once."),
    Entry("heal", RUN, "Take back everything that runs left behind."),
    Entry("halt", RUN, "End every run on this machine and let none begin."),
    Entry("judge", READ, "Give the verdict on a recorded run again."),
    Entry("compare", READ, "Say what got worse from one recorded run to another."),
    Entry("export", READ, "Print the events of a recorded run as lines of JSON."),
    Entry("report", READ, "Write the reports of a recorded run again."),
    Entry("trust", READ, "Say whether verdicts can be believed on this machine."),
    Entry("list", READ, "List what is installed: faults, checks, stacks and more."),
    Entry("schema", READ, "Print the JSON Schema of experiments."),
    Entry("stack", STACK, "Start, stop and look at a stack."),
    Entry("new", SET_UP, "Write a file to start from."),
    Entry("doctor", SET_UP, "Say what can run on this machine, and why not the rest."),
    Entry("completion", SET_UP, "Print the completion script of a shell."),
)

BY_NAME = {entry.name: entry for entry in COMMANDS}
