"""What a person is told to type."""

import shlex


def command(words: str, *names: str) -> str:
    """Return a command of syncd's with names that a shell, and syncd, take as they are.

    Whoever may push lists to us chooses names of links.
    """
    ends = ("--",) if any(name.startswith("-") for name in names) else ()
    return shlex.join(("syncd", *words.split(), *ends, *names))
