"""`jobs pause|resume`."""

from typing import Annotated

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, flow_of, in_a_sentence, print_json, who
from dicomnode.desk import jobs

PipelineOption = Annotated[str, typer.Option("--pipeline", help="Of this pipeline alone.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; others will read it.")]


def pause(
    config: ConfigOption = None, pipeline: PipelineOption = "", reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Start nothing more, on any node; what runs goes on."""
    flow = flow_of(config)
    with in_a_sentence():
        changed = jobs.pause(flow, who(), pipeline, reason)
    _told(pipeline, "paused", changed, as_json)


def resume(config: ConfigOption = None, pipeline: PipelineOption = "", as_json: JsonOption = False) -> None:
    """Start jobs again."""
    changed, still = jobs.resume(flow_of(config), who(), pipeline)
    _told(pipeline, "resumed; all jobs are still paused" if still else "resumed", changed, as_json)


def _told(pipeline: str, what: str, changed: bool, as_json: bool) -> None:
    if as_json:
        print_json({"pipeline": pipeline, "changed": changed})
    else:
        print(f"{f'jobs of {pipeline}' if pipeline else 'all jobs'}: {what if changed else 'as before'}")
