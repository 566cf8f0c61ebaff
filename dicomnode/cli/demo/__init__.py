"""`demo`: the main job on a real chest CT, from a modality's C-STORE to the derived series in a PACS, told as it goes.

- command: the options, and what is started and stopped; run: the steps in between
- source: the series, written by the bundled pipelines' simulator in a process of its own
- pacs: what the demo asks of a PACS; orthanc and stand_in are the two there are
- node: `dicomnode serve` on a configuration of its own
- sending: the modality, our own SCU; waiting: until nothing is left to do
- story: what happened, read from the node's database; telling: the same in plain words; voice: says it
- noise: what came back from the PACS, measured; picture: the same, drawn
- folder, process: where it all lies, and what has to be stopped
"""

from dicomnode.cli.demo.command import demo

__all__ = ["demo"]
