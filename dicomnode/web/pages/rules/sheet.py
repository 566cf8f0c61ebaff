"""The editor's sheet: one rule while somebody writes it, as rows or as YAML. It lives in the fields of the request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import Draft
from dicomnode.desk.rules.validation import UNKEPT, can_be_kept, validated
from dicomnode.flow import Flow
from dicomnode.route import yaml_text
from dicomnode.route.contradiction import contradiction
from dicomnode.web.pages.rules.form.edits import edit
from dicomnode.web.pages.rules.form.fields import Fields, one
from dicomnode.web.pages.rules.form.rule import RuleForm
from dicomnode.web.pages.rules.form.schema import Schema

_NEW = {"name": "", "state": "draft", "when": {"all": []}}


@dataclass(frozen=True)
class Finding:
    """Something wrong with the rule: at which field of the form, or on which line of the YAML."""

    message: str
    field: str = ""
    line: int | None = None


@dataclass
class Sheet:
    """One rule as it stands on the page. `name` is the one it has in the draft, empty for a new rule.

    `version` is that of the draft when the page was opened; `focus` the field to go on in.
    """

    flow: Flow
    draft: Draft
    name: str
    version: int
    form: RuleForm
    yaml: str | None = None
    """The text, where the rule is shown as YAML."""
    findings: list[Finding] = field(default_factory=list)
    focus: str = ""
    checked: bool = False
    """Whether somebody asked if it is right."""
    never: str = ""
    """Why no series can match it, where that was found: it may be saved all the same."""

    @classmethod
    def opened(cls, flow: Flow, draft: Draft, name: str) -> "Sheet":
        """A rule of the draft, or a new one. Raises Refused for a rule that the draft does not have."""
        found = next((rule for rule in draft.site.rules if rule.name == name), None)
        if name and found is None:
            raise Refused(f"the draft has no rule {name}", "missing")
        form = RuleForm.of(found.to_document(), schemas(flow)) if found else RuleForm()
        return cls(flow, draft, name, draft.version, form, focus="" if name else "name")

    @classmethod
    def sent(cls, flow: Flow, draft: Draft, name: str, fields: Fields) -> "Sheet":
        """As a browser sends it."""
        text = one(fields, "yaml").replace("\r\n", "\n") if "yaml" in fields else None
        version = one(fields, "version")
        return cls(flow, draft, name, int(version) if version.isdecimal() else -1, RuleForm.read(fields), text)

    def act(self, action: str) -> None:
        """What a button asked for, other than saving."""
        if action == "check":
            self.check()
        elif action == "yaml" and self.yaml is None:
            self.yaml = yaml_text.dump(self.form.result(schemas(self.flow)).document)
            self.focus = "yaml"
        elif action == "form" and self.yaml is not None:
            self._to_form()
        elif self.yaml is None:
            self.form.when, self.focus = edit(self.form.when, action)

    def check(self) -> Mapping[str, Any] | None:
        """The rule's document where nothing is wrong with it, as far as it is known without its neighbours."""
        self.checked = True
        document = self._read()
        if document is None or self.findings:
            return None
        site = {"destinations": self.draft.document()["destinations"], "rules": [document]}
        try:
            (rule,) = validated(self.flow, site, "rules[0]", self.draft.known).rules
        except Refused as refused:
            self.refuse(refused)
            return None
        self.never = contradiction(rule.when)
        return document

    def refuse(self, refused: Refused) -> None:
        """Say what the desk found, each at its place."""
        for each in refused.problems:
            near = each.get("nearest")
            hint = f" Did you mean {' or '.join(near)}?" if isinstance(near, list | tuple) and near else ""
            self._find(str(each.get("path", "")), f"{each.get('message', '')}{hint}")
        if not refused.problems:
            self.findings.append(Finding(str(refused)))

    def _find(self, path: str, message: str) -> None:
        if self.yaml is not None:
            _, lines = yaml_text.load(self.yaml)
            place = path
            while place and place not in lines:
                place = place[: max(place.rfind("."), place.rfind("["), 0)]
            self.findings.append(Finding(f"{path}: {message}" if path else message, line=lines.get(place)))
            return
        name = self.form.result(schemas(self.flow)).field_of(path)
        if name not in {finding.field for finding in self.findings if name}:
            self.findings.append(Finding(message, name))

    def _read(self) -> dict[str, Any] | None:
        """The document of what is shown, finished or not; None where it cannot be read at all."""
        if self.yaml is None:
            result = self.form.result(schemas(self.flow))
            self.findings += [Finding(message, name) for name, message in result.problems.items()]
            return result.document
        try:
            document, _ = yaml_text.load(self.yaml)
        except yaml_text.YamlRefused as refused:
            self.findings += [Finding(problem.message, line=problem.line) for problem in refused.problems]
            return None
        if not can_be_kept(document):
            self.findings.append(Finding(f"the text holds {UNKEPT}."))
            return None
        if not isinstance(document, dict):
            self.findings.append(Finding("write one rule as `name: ...`, `when: ...` and so on.", line=1))
            return None
        return document

    def _to_form(self) -> None:
        """Over to the rows, if they can show all that the text says."""
        document = self._read()
        if document is None:
            return
        document = {**_NEW, **{key: value for key, value in document.items() if value is not None}}
        try:
            form = RuleForm.of(document, schemas(self.flow))
            shown = form.result(schemas(self.flow)).document == document
        except (AttributeError, LookupError, StopIteration, TypeError, ValueError):
            shown = False  # some other shape than a rule's: the desk says below what is wrong with it
        if shown or self.check() is not None:
            self.form = form if shown else self._canonical(document)
            self.yaml, self.findings, self.checked = None, [], False
            self.focus = "name"
            return
        self.findings.insert(0, Finding("The rows cannot show this yet: mend what is named here first."))

    def _canonical(self, document: Mapping[str, Any]) -> RuleForm:
        """Of a valid rule that was written otherwise than the node writes it, with defaults or true for 1."""
        site = {"destinations": self.draft.document()["destinations"], "rules": [dict(document)]}
        return RuleForm.of(
            validated(self.flow, site, known=self.draft.known).rules[0].to_document(), schemas(self.flow)
        )


def schemas(flow: Flow) -> dict[str, Schema]:
    """JSON schema of the parameters of each pipeline that can be used."""
    return {name: model.model_json_schema() for name, model in flow.registry.params_models().items()}
