"""Draw docs/demo.svg, what `make demo` prints on a terminal: python -m tests.docs.picture."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from typing import Final
from xml.sax.saxutils import escape

from syncd import logs
from syncd.app.demo import demo
from tests.docs.pages import ROOT

PICTURE: Final = ROOT / "docs" / "demo.svg"

_CLASSES: Final = {"1": "t", "1;36": "h", "2": "d", "31": "r", "32": "g", "33": "a"}
_PAINTED: Final = re.compile(r"\x1b\[([\d;]+)m(.*?)\x1b\[0m")
_STYLE: Final = """\
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: #24292f; white-space: pre }
.t { font-weight: bold } .h { font-weight: bold; fill: #0a5c8a } .d { fill: #6a737d }
.g { fill: #1a7f37 } .a { fill: #9a5b00 } .r { fill: #b3261e }
.page { fill: #fbfbfa; stroke: #d0d4d9 } .rim { fill: none; stroke: #d0d4d9 }
.dots { fill: #d0d4d9 }
@media (prefers-color-scheme: dark) {
  text { fill: #d7dce2 } .h { fill: #6cb6e8 } .d { fill: #8b949e } .g { fill: #56d364 }
  .a { fill: #e3b341 } .r { fill: #ff7b72 }
  .page { fill: #16191d; stroke: #3d444d } .rim { stroke: #3d444d } .dots { fill: #3d444d }
}"""
_PAGE: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" role="img" aria-labelledby="t">
<title id="t">What make demo prints</title>
<style>
{style}
</style>
<rect class="page" x="0.5" y="0.5" width="{edge}" height="{foot}" rx="8"/>
<path class="rim" d="M1 28.5H{edge}"/>
<g class="dots">
<circle cx="18" cy="15" r="5"/><circle cx="36" cy="15" r="5"/><circle cx="54" cy="15" r="5"/>
</g>
{texts}
</svg>
"""
_TOP: Final = 52
_STEP: Final = 18
_WIDTH: Final = 800


def draw(lines: Sequence[str]) -> str:
    """Return the picture of a terminal with these lines, painted as they are."""
    return _PAGE.format(
        style=_STYLE,
        width=_WIDTH,
        height=_TOP + _STEP * len(lines),
        edge=_WIDTH - 1,
        foot=_TOP + _STEP * len(lines) - 1,
        texts="\n".join(_texts(lines)),
    )


def _texts(lines: Sequence[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if line:
            text = _PAINTED.sub(_span, escape(line))
            place = f'x="20" y="{_TOP + _STEP * number}" xml:space="preserve"'
            yield f"<text {place}>{text}</text>"


def _span(painted: re.Match[str]) -> str:
    return f'<tspan class="{_CLASSES[painted[1]]}">{painted[2]}</tspan>'


class Terminal(io.StringIO):
    """Standard output as it is where the demo paints."""

    def isatty(self) -> bool:
        return True


def main() -> None:
    """Play the demo, and draw it."""
    logs.configure("error", "auto")
    lines = ["\x1b[2m$ make demo\x1b[0m"]
    with redirect_stdout(Terminal()):
        demo(lines.append)
    PICTURE.write_text(draw(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
