"""What is installed, by its package metadata; nothing is imported, and who does not ask pays nothing."""


def version_of(name: str) -> str | None:
    """The installed version of a distribution; None where it is not installed."""
    from importlib import metadata  # loads parsers of mail and of zip files, a tenth of a short command

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
