"""The detector of a gecatsim scan, read twice: once without noise and once with it.

gecatsim finds a callback by the name of its module, which must also be the name of the function. It runs in the child
process of `scanner.py` and nowhere else.
"""

from typing import Any


def catsim_detection(cfg: Any, view: int, subview: int) -> Any:
    """gecatsim's energy-integrating detector; the reading without noise is kept in `cfg.sim.noiseless`, view by view.

    One projection serves both readings, so that they differ in nothing but quantum and electronic noise.
    """
    from gecatsim.pyfiles.Detection_EI import Detection_EI

    if not cfg.sim.isPhantomScan:
        return Detection_EI(cfg, view, subview)
    if view == cfg.sim.startViewId:
        cfg.sim.noiseless = []
    photons, quantum, electronic = cfg.thisSubView.copy(), cfg.sim.enableQuantumNoise, cfg.sim.eNoise
    cfg.sim.enableQuantumNoise, cfg.sim.eNoise = 0, 0
    cfg.sim.noiseless.append(Detection_EI(cfg, view, subview).thisView.copy())
    cfg.thisSubView, cfg.sim.enableQuantumNoise, cfg.sim.eNoise = photons, quantum, electronic
    return Detection_EI(cfg, view, subview)
