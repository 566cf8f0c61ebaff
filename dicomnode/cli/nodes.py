"""`nodes`: who works on this database."""

from dataclasses import asdict

from dicomnode.cli.common import ConfigOption, JsonOption, flow_of, print_table
from dicomnode.desk.nodes import nodes as states_of


def nodes(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The nodes on this database: their signs of life, who looks after the dead, and what each has in hand."""
    flow = flow_of(config)
    with flow.database.read() as session:
        found = [asdict(each) for each in states_of(session, flow.settings.node.lease_seconds)]
    documents = [{**each, **each.pop("has"), "is_this_one": each["name"] == flow.node} for each in found]
    columns = ("name", "state", "seen_at", "taken_by", "associations", "jobs", "deliveries", "requests", "version")
    print_table(documents, as_json, "no node has ever run on this database", columns)
