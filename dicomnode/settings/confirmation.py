"""Settings of asking destinations whether they keep what they took."""

from pydantic import Field, model_validator

from dicomnode.settings.section import Section


class ConfirmationSettings(Section):
    """Storage commitment and C-FIND as SCU; which of them a destination is asked by, its entry in the site data says.

    What cannot be asked is tried again with an exponential back-off, from `backoff_first` to `backoff_cap` seconds.
    """

    after_seconds: float = Field(5.0, ge=0)
    """From the moment a delivery is sent: late instances join it, and a PACS puts away what it took."""
    requests: int = Field(3, ge=1, le=20)
    """Requests for storage commitment that may stay without a report; looks by C-FIND that may miss an instance before
    it is sent again; times that it is sent again.
    """
    report_seconds: float = Field(60.0, gt=0)
    """How long the report on the first request is waited for; for each further one twice as long."""
    same_association_seconds: float = Field(2.0, ge=0)
    """How long the association of a request stays open for a report that comes over it."""
    attempts: int = Field(16, ge=1)
    """Times in a row that a destination may be out of reach before `confirm: auto` leaves it at "sent"."""
    backoff_first: float = Field(10.0, gt=0)
    backoff_cap: float = Field(3600.0, gt=0)

    @model_validator(mode="after")
    def _grows(self) -> "ConfirmationSettings":
        if self.backoff_first > self.backoff_cap:
            raise ValueError("`backoff_first` is longer than `backoff_cap`")
        return self
