"""A rule on a pipeline that is there but cannot be used is refused with the pipeline's own reason."""

import pytest
from pydantic import BaseModel

from dicomnode.route.site_document import SiteRefused, read_site

SITE = """
destinations:
  - {name: pacs, kind: dimse, ae_title: PACS, host: 127.0.0.1, port: 104}
rules:
  - {name: a, state: live, when: {all: []}, enhance: {pipeline: ct-denoise}, deliver_to: [pacs]}
"""


def test_the_reason_is_told() -> None:
    with pytest.raises(SiteRefused) as refused:
        read_site(SITE, {"passthrough": BaseModel}, {"ct-denoise": "its weights were tampered with"})
    assert "is broken: its weights were tampered with" in str(refused.value)
