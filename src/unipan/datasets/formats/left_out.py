"""What a reader leaves out of the maps, counted, so that nothing is lost in silence."""

from dataclasses import dataclass, field

SHOWN = 3
"""Examples that are named for each reason."""


@dataclass
class LeftOut:
    """Reason -> what was left out for it. A map that is read twice counts once.

    Attributes:
        found: what, in the order of reading.
    """

    found: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, reason: str, what: str) -> None:
        """Remember one: `reason` says what it lacks, as a plural; `what` names it by file and id."""
        self.found.setdefault(reason, {})[what] = None

    def count(self, reason: str) -> int:
        """How many were left out for this reason."""
        return len(self.found.get(reason, {}))

    def lines(self) -> list[str]:
        """One line for each reason, with the first few examples."""
        return [
            f"{reason}: {len(names)} ({', '.join(list(names)[:SHOWN])}{', ...' * (len(names) > SHOWN)})"
            for reason, names in self.found.items()
        ]
