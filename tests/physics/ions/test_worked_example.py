"""The example in the documentation is run, and prints what the page says."""

import contextlib
import io
import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "topics" / "occupation.md"


def test_example_prints_what_the_page_says():
    page = PAGE.read_text(encoding="utf-8")
    code, printed = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL).groups()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, str(PAGE), "exec"), {})  # noqa: S102  (our own page)
    # few digits, from seeded draws: the last one would have to sit on the edge of rounding to differ
    assert output.getvalue() == printed
    assert "compensation" in printed
