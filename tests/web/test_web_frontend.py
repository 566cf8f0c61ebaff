"""What pages are made of, read as text: nothing inline or unescaped, nothing from another host, versions pinned."""

import json
import re
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "dicomnode/web"
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
FORBIDDEN = {
    "a style attribute": r"\sstyle\s*=",
    "a handler in an attribute": r"\s(on[a-z]+|hx-on[:\w-]*)\s*=",
    "an inline script": r"<script(?![^>]*\ssrc=)",
    "an inline style sheet": r"<style",
    "code in htmx's attributes": r"hx-(vals|headers)\s*=\s*[\"'](js|javascript):",
    "data that is taken as HTML": r"\|\s*safe\b|Markup|autoescape",
    "another host": r"(src|href|action)\s*=\s*[\"'](https?:)?//",
}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(WEB / "templates")))
def test_a_template_has_nothing_that_the_policy_forbids(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert [what for what, pattern in FORBIDDEN.items() if re.search(pattern, text)] == []


def test_style_sheets_and_scripts_load_nothing_and_evaluate_nothing() -> None:
    for path in (*(WEB / "static").glob("*.css"), *(WEB / "static").glob("*.js")):
        assert not re.search(r"https?://|@import|\beval\(|new Function|innerHTML", path.read_text(encoding="utf-8")), (
            path
        )


def test_what_npm_fetches_is_pinned_and_names_no_registry() -> None:
    package = json.loads((WEB / "frontend/package.json").read_text())
    lock = json.loads((WEB / "frontend/package-lock.json").read_text())["packages"]
    wanted = {**package["dependencies"], **package["devDependencies"]}
    locked = {name.removeprefix("node_modules/"): of for name, of in lock.items() if name}
    assert {name: of["version"] for name, of in locked.items()} == wanted
    assert wanted["htmx.org"].startswith("2.")
    assert all(of["integrity"].startswith("sha512-") and "resolved" not in of for of in locked.values())
