"""`models`: the trained weights of the pipelines, and what an administrator does with them.

- listing: what there is, whether it is what its card says, and how the inputs drift
- candidates, instance, judging: what of a folder of DICOM may be trained from, and why the rest may not
- patients, copies: who is held out, and the de-identified copies that training sees instead of DICOM
- train, work, trainer: the command, its folder, the trainer in a process of its own
"""

from dicomnode.cli.models.listing import app
from dicomnode.cli.models.train import train

app.command("train")(train)

__all__ = ["app"]
