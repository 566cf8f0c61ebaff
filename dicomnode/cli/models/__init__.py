"""`models`: the trained weights of the pipelines, and what an administrator does with them.

- listing: what there is, whether it is what its card says, and how the inputs drift
- candidates, instance, judging: what of a folder of DICOM may be trained from, and why the rest may not
- patients, unspoken: who is held out, and what is not repeated of a file
- copies: the de-identified arrays that training sees instead of DICOM
- train, training, work, trainer: the command, its steps, its folder, the trainer in a process of its own
- survey, telling: what is said of it; site_model: the weights, card and limits that come out
- importing, said: the command, and the card; network, checkpoint, generator, golden_case: what a file holds, judged
- comparing: two models on the same slices
- variant, shelf, naming: a model as a pipeline of its own in the administrator's folder
"""

from dicomnode.cli.models.comparing import compare
from dicomnode.cli.models.importing import import_
from dicomnode.cli.models.listing import app
from dicomnode.cli.models.train import train

app.command("train")(train)
app.command("import")(import_)
app.command("compare")(compare)

__all__ = ["app"]
