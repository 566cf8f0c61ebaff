"""One gecatsim scan, run by `scanner.py` as a program of its own in a directory of its own.

gecatsim prints, reads and writes its files in the working directory and seeds generators of the whole process: here
none of that reaches anybody. Reads `job.json` and the density maps, writes `image.npy` and `noise.npy`, both (H, W)
float32 in HU on the grid of the maps. Run it with the working directory set; it takes no arguments.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EFFECTIVE_MU_PER_MM = 0.02
"""What the beam-hardening correction makes of water, whatever the spectrum: the scale of HU."""
_SID_MM, _SDD_MM = 540.0, 950.0
_COLUMNS = 900


def main() -> None:
    """Scan, correct, reconstruct."""
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    scanner = _scanner(job)
    _seed(scanner, job["seed"])
    scanner.air_scan()
    scanner.offset_scan()
    cfg = scanner.phantom_scan()
    noiseless = np.stack(cfg.sim.noiseless).astype(np.float32)
    _correct_beam_hardening(scanner)
    noisy_lines = _prepared(scanner)
    noiseless.tofile("scan.scan")
    lines = _prepared(scanner)
    np.save("noise.npy", _reconstructed(scanner, noisy_lines - lines))
    if job["image"]:
        np.save("image.npy", _reconstructed(scanner, lines) - np.float32(1000))


def _scanner(job: dict[str, Any]) -> Any:
    """A third-generation scanner with one detector row: gecatsim's sample geometry, a fan in the plane of the slice."""
    import gecatsim

    scanner = gecatsim.CatSim()
    scanner.resultsName = "scan"
    scanner.phantom.filename, scanner.phantom.projectorNumThreads = _phantom(job), 1
    geometry, physics, protocol, recon = scanner.scanner, scanner.physics, scanner.protocol, scanner.recon
    geometry.sid, geometry.sdd, geometry.detectorColCount = _SID_MM, _SDD_MM, _COLUMNS
    geometry.detectorRowsPerMod = geometry.detectorRowCount = 1
    geometry.detectorRowSize = job["slice_mm"] * _SDD_MM / _SID_MM
    geometry.detectionCallback = "catsim_detection"
    for axis in ("col", "row", "srcX", "srcY", "view"):
        setattr(physics, f"{axis}SampleCount", 1)
    physics.energyCount = job["energies"]
    physics.callback_post_log = "Prep_BHC_Accurate"
    physics.EffectiveMu = 10 * _EFFECTIVE_MU_PER_MM
    physics.BHC_poly_order, physics.BHC_max_length_mm, physics.BHC_length_step_mm = 5, 400, 20
    protocol.viewsPerRotation = protocol.viewCount = job["views"]
    protocol.stopViewId = job["views"] - 1
    protocol.mA, protocol.rotationTime = job["ma"], 1.0
    protocol.spectrumFilename, protocol.bowtie = job["spectrum"], job["bowtie"]
    recon.imageSize, recon.fov, recon.kernelType = job["size"], job["size"] * job["pixel_mm"], job["kernel"]
    return scanner


def _phantom(job: dict[str, Any]) -> str:
    """gecatsim's description of the density maps, one for each material, and its name.

    One voxel, much thicker than the slice: the phantom does not change along the axis of the scanner.
    """
    names, size = list(job["materials"]), job["size"]
    each = {
        "mat_name": list(job["materials"].values()),
        "volumefractionmap_filename": [f"{name}.raw" for name in names],
        "volumefractionmap_datatype": ["float"] * len(names),
    }
    for key, value in (
        ("cols", size),
        ("rows", size),
        ("slices", 1),
        ("x_size", job["pixel_mm"]),
        ("y_size", job["pixel_mm"]),
        ("z_size", 10 * job["slice_mm"]),
        ("x_offset", (size + 1) / 2),
        ("y_offset", (size + 1) / 2),
        ("z_offset", 1.0),
    ):
        each[key] = [value] * len(names)
    Path("phantom.json").write_text(json.dumps({"n_materials": len(names), **each}), encoding="utf-8")
    return "phantom.json"


def _seed(scanner: Any, seed: int) -> None:
    """gecatsim draws photons in its own library and electronic noise from numpy's global generator."""
    from gecatsim.pyfiles.set_rndseed import set_rndseed

    set_rndseed(scanner.cfg, seed)
    np.random.seed(seed)


def _correct_beam_hardening(scanner: Any) -> None:
    """Measure the correction for water once, with noiseless air scans behind thicker and thicker water, and keep it."""
    from gecatsim.pyfiles.Prep_BHC_Accurate import gen_BHC_vec

    np.save("hardening.npy", gen_BHC_vec(scanner.get_current_cfg()))
    scanner.physics.BHC_vec_fname = "hardening.npy"


def _prepared(scanner: Any) -> NDArray[np.float32]:
    """Line integrals of the readings in `scan.scan`: offset, air, low-signal, logarithm, beam hardening.

    (views, 1, columns), without a unit.
    """
    scanner.prep_view()
    return np.fromfile("scan.prep", np.float32).reshape(scanner.protocol.viewCount, 1, -1)


def _reconstructed(scanner: Any, lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """gecatsim's fan-beam filtered back-projection, in HU above air, turned as the density maps are."""
    from gecatsim.reconstruction.pyfiles.fdk_equiAngle import fdk_equiAngle

    attenuation = fdk_equiAngle(scanner.get_current_cfg(), lines)[:, :, 0]
    return np.ascontiguousarray(attenuation * (1000 / _EFFECTIVE_MU_PER_MM), np.float32)


if __name__ == "__main__":
    main()
