"""`python -m support.screenshots FOLDER`: every page of a running node with a day behind it, as pictures.

Light and dark at 1280, dark at 1920 as well. Open them. With `--readme` the two that the README shows are written anew.
"""

import argparse
import re
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from support.brokenpipelines import REASONS
from support.browser import NARROW, WIDE, Theme, chromium, visiting
from support.house import lively
from support.nodeproc import Node
from support.pages import find_pages
from support.webapp import Headless, client, session_of

from dicomnode.app import build_flow
from dicomnode.desk.accounts import accounts
from dicomnode.settings import load_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LOOKS: tuple[tuple[Theme, tuple[int, int]], ...] = (("light", NARROW), ("dark", NARROW), ("dark", WIDE))
PERSON = "amelie"
ALSO = tuple(f"/pipelines/{name}" for name in REASONS)
"""Pages that are of a kind of which the first are taken, and look otherwise: each broken pipeline."""
README: dict[str, tuple[str, Theme]] = {"today": ("/", "dark"), "draft": ("/rules/draft", "light")}
"""Pictures of the README: their page and theme."""
COLOURS = 200
"""As many as a small picture of a page needs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="pages whose address matches this expression")
    parser.add_argument("--chest", action="store_true", help="with a real chest CT, enhanced by the bundled model")
    parser.add_argument("--readme", type=Path, help="where the pictures of the README go")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as root,
        lively(Path(root), chest=arguments.chest) as node,
        chromium() as browser,
    ):
        take(browser, node, arguments.folder, re.compile(arguments.only))
        if arguments.readme:
            for_readme(browser, node, arguments.readme)


def for_readme(browser: "Browser", node: Node, folder: Path) -> None:
    """What fits a window, in few colours. Names of patients are hidden, as they are until somebody asks."""
    flow = build_flow(load_settings(node.config))
    secret = session_of(flow, accounts.named(flow, PERSON))
    for name, (path, theme) in README.items():
        with visiting(browser, node.url, secret=secret, theme=theme) as visit:
            picture = Image.open(BytesIO(visit.open(path).screenshot())).convert("RGB")
        picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            folder / f"{name}.png", optimize=True
        )
    flow.database.close()


def take(browser: "Browser", node: Node, folder: Path, only: re.Pattern[str]) -> None:
    """One picture for each page and look, named after the page's address."""
    flow = build_flow(load_settings(node.config))
    secret = session_of(flow, accounts.named(flow, PERSON), names_shown=True)
    visitor = client(Headless(flow), "admin", name="crawler", names_shown=True)
    found = [path for path in (*find_pages(visitor).pages, *ALSO) if only.search(path)]
    for theme, size in LOOKS:
        with visiting(browser, node.url, secret=secret, theme=theme, size=size) as visit:
            for path in found:
                visit.open(path)
                visit.page.screenshot(path=folder / f"{_slug(path)}.{theme}-{size[0]}.png", full_page=True)
    for theme in ("light", "dark"):
        with visiting(browser, node.url, theme=theme) as visit:
            visit.open("/sign-in").screenshot(path=folder / f"sign-in.{theme}-1280.png")
    print(f"{len(found)} pages, {len(LOOKS)} looks: {folder}")
    flow.database.close()


def _slug(path: str) -> str:
    text = re.sub(r"\d(?:[\d.]{20,})", lambda uid: f"uid{uid[0][-6:]}", path)
    return re.sub(r"[^\w.-]+", "-", text).strip("-")[:80] or "today"


if __name__ == "__main__":
    main()
