"""The one form in which e-mail addresses are stored and compared."""

from email_validator import EmailNotValidError, validate_email

from errors import Invalid


def normalise_email(email: str) -> str:
    """The address as it is stored: trimmed, in one Unicode form, the domain in lower case.

    Raises:
        Invalid: it is not an e-mail address.
    """
    try:
        address = validate_email(email.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise Invalid(f"not an e-mail address: {error}") from None
    return address.normalized
