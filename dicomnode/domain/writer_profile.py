"""How a rule wants its derived series written. Part of the identity of every output."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class WriterProfile(BaseModel):
    """Writer options of a rule (never of a destination): they change bytes, so they are part of the recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sop_class: Literal["source", "secondary-capture"] = Field(
        "source", description="stay in the source's SOP class, or fall back to secondary capture"
    )
    image_type_value_2: Literal["SECONDARY", "PRIMARY"] = Field("SECONDARY", description="ImageType value 2")
    series_number_offset: int = Field(1000, ge=1, le=1_000_000, description="derived SeriesNumber = source + offset")
    keep_scanner_equipment: bool = Field(
        False, description="keep Manufacturer and model of the scanner, for viewers that hang by vendor"
    )
    keep_private: tuple[str, ...] = Field((), description="private creators whose elements are kept")
    content_qualification: Literal["RESEARCH", "PRODUCT", "SERVICE"] = Field(
        "RESEARCH", description="ContentQualification (0018,9004)"
    )
