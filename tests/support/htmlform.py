"""What a browser sends of a page: the fields of its forms, as they stand."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

Pairs = list[tuple[str, str]]


@dataclass
class Form:
    """One form: its address, and its successful controls (HTML, "constructing the entry list") without a button."""

    action: str
    pairs: Pairs = field(default_factory=list)
    buttons: Pairs = field(default_factory=list)

    def fields(self, **instead: str | None) -> dict[str, list[str]]:
        """Name to values; `instead` puts others in their place, None leaves a field out."""
        found: dict[str, list[str]] = {}
        for name, value in self.pairs:
            found.setdefault(name, []).append(value)
        for name, other in instead.items():
            found.pop(name, None)
            if other is not None:
                found[name] = [other]
        return found


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._select: tuple[str, list[str], list[str]] | None = None
        self._area: tuple[str, list[str]] | None = None
        self._option: list[str] | None = None
        self._value: str | None = None
        self._selected = False
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
            self._inside = True
        name = given.get("name", "")
        if not self._inside or (not name and tag != "option") or "disabled" in given:
            return
        if tag == "input":
            kind = given.get("type", "text")
            if kind not in ("checkbox", "radio") or "checked" in given:
                value = given.get("value", "on" if kind == "checkbox" else "")
                # The sanitisation of a text field: what a browser drops of its value is lost.
                self.forms[-1].pairs.append((name, value.replace("\r", "").replace("\n", "")))
        elif tag == "button":
            self.forms[-1].buttons.append((name, given.get("value", "")))
        elif tag == "select":
            self._select = (name, [], [])
        elif tag == "option" and self._select:
            self._option, self._value, self._selected = [], given.get("value"), "selected" in given
        elif tag == "textarea":
            self._area = (name, [])

    def handle_data(self, data: str) -> None:
        if self._area:
            self._area[1].append(data)
        if self._option is not None:
            self._option.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "option" and self._select and self._option is not None:
            value = "".join(self._option).strip() if self._value is None else self._value
            self._select[1].append(value)
            if self._selected:
                self._select[2].append(value)
            self._option = None
        elif tag == "select" and self._select:
            name, options, selected = self._select
            self.forms[-1].pairs += [(name, value) for value in (selected or options[:1])[-1:]]
            self._select = None
        elif tag == "textarea" and self._area:
            text = "".join(self._area[1]).removeprefix("\n")
            self.forms[-1].pairs.append((self._area[0], text.replace("\n", "\r\n")))
            self._area = None
        elif tag == "form":
            self._inside = False


def forms_of(html: str) -> list[Form]:
    """Every form of a page, in order."""
    parser = _Forms()
    parser.feed(html)
    return parser.forms


def form_at(html: str, action: str) -> Form:
    """The form that posts to this address."""
    return next(form for form in forms_of(html) if form.action == action)
