"""The request bodies of registration, logins, passwords, roles and the deletion of an account."""

from typing import Annotated

from pydantic import AfterValidator, Field

from db.tables import Role
from errors import Invalid
from studio.accounts.addresses import normalise_email
from studio.accounts.passwords import check_password_rules
from studio.forms import Form


def valid_email(email: str) -> str:
    """Normalises the address; its error becomes a field error of pydantic."""
    try:
        return normalise_email(email)
    except Invalid as error:
        raise ValueError(error.detail) from None


def valid_password(password: str) -> str:
    """Checks the password's rules; their error becomes a field error of pydantic."""
    try:
        check_password_rules(password)
    except Invalid as error:
        raise ValueError(error.detail) from None
    return password


NewPassword = Annotated[str, Field(max_length=1000), AfterValidator(valid_password)]


class RegistrationForm(Form):
    """A new customer."""

    email: Annotated[str, Field(max_length=320), AfterValidator(valid_email)]
    password: NewPassword
    name: str | None = Field(default=None, max_length=200)


class LoginForm(Form):
    """The credentials of an account; their format is not checked, so that no answer reveals one."""

    email: str = Field(max_length=1000)
    password: str = Field(max_length=1000)


class PasswordForm(Form):
    """The current password and the new one."""

    current_password: str = Field(max_length=1000)
    new_password: NewPassword


class DeletionForm(Form):
    """The account's password; accounts that sign in by OpenID have none."""

    password: str | None = Field(default=None, max_length=1000)


class RoleForm(Form):
    """The new role of an account."""

    role: Role
