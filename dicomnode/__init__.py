"""A DICOM node beside the PACS."""

__version__ = "0.1.0"
