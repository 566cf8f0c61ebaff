"""A second pipeline beside the bundled ones, for tests that send work to another one."""

OTHER = """
from dicomnode.enhance.api import Acceptance, Field, Pipeline, PipelineParams

class Other(Pipeline):
    name, version, title, precision = "other", "1.0.0", "Other", "float32"
    class Params(PipelineParams):
        gain: float = Field(1.0, ge=0, le=2, description="x")
    def accepts(self, series):
        return Acceptance.yes() if series.computed["instance_count"] < 5 else Acceptance.no("five are too many")
    def enhance(self, slices, params):
        return slices[:, 0] * params.gain
"""
