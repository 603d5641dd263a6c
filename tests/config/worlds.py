"""A config to start from, and types of backend as they declare their keys."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from syncd.config.load import Loaded, load
from syncd.config.settings import BackendType, Settings
from syncd.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    url: str = field(metadata={"help": "The service's address."})
    token: str = field(
        repr=False, metadata={"help": "The key that every request carries.", "secret": True}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    path: Path = field(metadata={"help": "The file that holds the lists."})


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseOptions:
    domain: str | None = None
    folder: Path | None = None


BACKENDS = {
    "planfix-json": BackendType(ServiceOptions, can_read=False),
    "embedded": BackendType(FileOptions, can_read=True),
    "loose": BackendType(LooseOptions, can_read=False),
}

ARRAY_TABLES = {"backends", "links", "sms", "receiver.email", "receiver.sms"}

SECRET = "tr0ub4dor"  # in every config below, and in no message

GATEWAY = """
name = "gateway"
type = "planfix-sms"
url = "https://sms.example.com/"
key = "k"
"""

MINIMAL = {
    "planfix": f"""
url = "https://api.example.com/xml/"
account = "acme"
api_key = "{SECRET}-1"
token = "{SECRET}-2"
""",
    "backends": f"""
name = "news"
type = "planfix-json"
url = "https://lists.example.com/"
token = "{SECRET}-3"
""",
    "links": """
name = "customers"
selection = "contact"
backend = "news"
list = "Customers"
""",
}


def config(**sections: str) -> str:
    """Return the minimal config with further sections, or others in place of its own."""
    text = ""
    for name, body in {**MINIMAL, **sections}.items():
        header = name.replace("__", ".")
        text += f"[[{header}]]" if header in ARRAY_TABLES else f"[{header}]"
        text += f"\n{body.strip()}\n"
    return text


def without(section: str, *keys: str, more: str = "") -> str:
    """Return a section of the minimal config without some keys, with others instead."""
    return f"{less(MINIMAL[section], *keys)}\n{more.strip()}"


def less(text: str, *keys: str) -> str:
    """Return a section without some keys."""
    lines = text.strip().split("\n")
    return "\n".join(line for line in lines if line.split(" = ")[0] not in keys)


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def loaded(folder: Path, text: str) -> Loaded:
    return load(write(folder, text), BACKENDS)


def settings(folder: Path, text: str) -> Settings:
    return loaded(folder, text).settings


def problems(folder: Path, text: str) -> list[str]:
    """Return what is wrong with a config, without the folder's name."""
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, text)
    assert caught.value.exit_code == 78
    assert SECRET not in f"{caught.value} {caught.value.hint}"
    return str(caught.value).replace(f"{folder}/", "").split("\n")
