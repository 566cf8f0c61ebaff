"""The words of the page on the guards of ct-denoise; figures are filled in where braces stand."""

PAGE = """\
# The guards of ct-denoise

Written by `python -m pipelines.evaluate.guards --write-page` with the weights `{weights}`; not to be edited by hand.
The limits are in `pipelines/weights/{limits}`, which `python -m pipelines.gan.calibrate` writes from the training
patients. The command names every rate that is asked for and not reached.

A guard passes, flags (delivered, and said in the image) or withholds (originals only). "Fired" is either of the last
two. Figures are for single slices. **In the node the worst slice decides for its series**, so a rate of 5 % of slices
would flag nearly every long series; read the first rows so. Intervals are exact (Clopper-Pearson) for slices like
these; they say nothing about other patients.

{table}

## In the domain

{inside} of the held-out patient's slices fired; asked for is at most {most}. The guards of kernel, pattern and lesions
were built and their limits set on the two training patients. The test is not blind all the same: the number of
principal components in the feature distance and the margins of the older guards were chosen after looks at these very
slices, with earlier weights. It is one patient, and the noise is simulated. Another patient, another scanner may well
be further from the two patients of the calibration than this one: the feature distance will flag first what the model
has never seen.

## What is asked for and not reached

Of {asked} rates; at least {least} outside of the domain.

{missed}

- *Kernel.* A soft kernel is the whole slice as that kernel would have shown it, the patient's own noise with it: the
  guard "input kernel" looks at the tail of the noise's spectrum, which such a kernel cuts off. "Soft noise over the
  scan's own" is no kernel swap, and nothing is asked of it: it adds noise of the soft kernel to a scan that keeps the
  noise of its own. Scanners' own kernels differ by more: as scanned, the tail of one training patient is ten times that
  of the other, and soft noise over the first leaves it above the second. A limit that caught it would flag the second.
  For the same reason a limit from the first patient alone would flag the second: a scanner with a kernel unlike both
  will be flagged until the guards are calibrated on its own scans (`dicomnode models train` does).
- *Kernel names.* ConvolutionKernel is not in the envelope. The training volumes came without headers, so no list of
  kernels seen could be given, and the names are each vendor's own. A rule can name those of its scanners
  (`match: ConvolutionKernel`); the drift watch (`dicomnode models drift`) charts noise and grain by scanner and kernel.
- *Withheld is less than fired.* What is unlike the two patients of the calibration (grain, kernel, features, share of
  body) is flagged only: two patients are too few to withhold a series for that. Too much noise may withhold, and what
  the network does (residual bound, low frequency, change, blobs, edges, pattern).
- *Noise.* In flat tissue it varies fourfold over a patient: at 2.5 times the noise the thin parts are as quiet there as
  thick parts at a usual dose. "Typical noise", the median over the whole slice, varies half as much. It was added when
  the features of newer weights no longer told 2.5 times the noise by themselves; its limits were set on the training
  patients. It counts air, where scanners that cut it at -1024 HU show less noise than the simulation.

## Patterns that a network puts out

Squares or stripes added to the network's output, by their width and height (plus and minus so many HU), on slices at
all three doses: share in which a guard fired. Asked for from {pattern_hu} HU on.

{patterns}

{least} or more are noticed at every width:

{faintest}

The guard "pattern" finds peaks in the spectrum of the change: all of a pattern's energy is in a few frequencies, that
of noise in all. Its record names amplitude and period of the wave. It withholds at ten times the amplitude at which it
flags.

## Lesions that the network wipes out or makes up

Discs in flat soft tissue of the held-out patient at all three doses; {discs} of them. Noticed means that one of the
blob scores at the disc passes the limit that flags. Share noticed (number of discs) by contrast over local noise, and
radius:

{curves}

![Share noticed over contrast to noise, by radius]({picture})

{least} or more are noticed:

{reached}

Of discs of 60 HU, and of those whose contrast over the noise at their place is that which is stated (set on the
training patients) or more:

{sixty}

No more than three sigmas of the local noise are ever changed (residual bound), so higher contrast does not help beyond
that. Below, a disc is as strong as what the network takes away anywhere in the slice: a guard that noticed would fire
at noise.

## Cost

All guards together: {cost} ms for each slice of this evaluation (median; mostly 512 x 512) on one thread.
"""
