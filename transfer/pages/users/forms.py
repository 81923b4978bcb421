"""Forms of the page of users."""

import secrets
from typing import Any

from django import forms
from django.contrib.auth.forms import SetPasswordMixin, UsernameField
from django.contrib.auth.password_validation import password_validators_help_text_html
from django.utils.translation import gettext as _, gettext_lazy

from transfer.access import GROUPS, Role
from transfer.models import Actor, ApiKey, Approver, User
from transfer.models.approvers import mark, numbers_of, read_numbers
from transfer.pages.components.forms import choice_with_note, help_with_rules
from transfer.text.formats import moment

# Without letters and digits that sound or look alike.
READABLE = "abcdefghjkmnpqrstuvwxyz23456789"
SECOND_PERSON = ("approves", "own_numbers")
NAMES = {"first_name": "last_name"}  # side by side: see django/forms/div.html


def start_password() -> str:
    """A password of 79 bits that is easy to read out: "k7fw-qm2x-…"."""
    groups = ("".join(secrets.choice(READABLE) for _ in range(4)) for _ in range(4))
    return "-".join(groups)


def roles() -> list[tuple[str, Any]]:
    """Each role with what it may do."""
    return [(role.group, choice_with_note(role.label, role.may)) for role in Role]


def role_in(group: str) -> Role:
    """The role of a posted value. Raises ValueError if it is none."""
    if group not in GROUPS:
        raise ValueError(group)
    return GROUPS[group]


def role_field(**options: Any) -> forms.Field:
    """A field whose value is one of the three roles."""
    return forms.TypedChoiceField(
        label=gettext_lazy("Role"),
        choices=roles,
        coerce=role_in,
        widget=forms.RadioSelect,
        **options,
    )


class KeysField(forms.ModelMultipleChoiceField):
    """The usable API keys of a user, of which those that are ticked are to be revoked."""

    widget = forms.CheckboxSelectMultiple
    default_error_messages = {
        "invalid_choice": gettext_lazy(
            "One of these keys is no longer valid. Nothing was changed: look at the list again."
        )
    }

    def label_from_instance(self, key: ApiKey) -> Any:
        """Return the key's name with when it was made, and when and from where it was used."""
        made = _("made %(at)s") % {"at": moment(key.created_at)}
        if key.last_used_at is None:
            used = _("never used")
        elif key.last_address:
            facts = {"at": moment(key.last_used_at), "address": key.last_address}
            used = _("last used %(at)s from %(address)s") % facts
        else:
            used = _("last used %(at)s") % {"at": moment(key.last_used_at)}
        return choice_with_note(key.name, f"{made}, {used}")


class WithKeys(forms.Form):
    """A form about a user, with the usable API keys that this user made, if there are any."""

    def add_keys(self, user: User) -> None:
        keys = ApiKey.objects.usable().made_by(user)
        if keys:
            self.fields["keys"] = KeysField(
                keys,
                required=False,
                label=_("API keys that %(login)s made") % {"login": user.username},
                help_text=_("They go on working. Tick those that are to be revoked now."),
            )

    def keys(self) -> list[ApiKey]:
        """Return the keys that are to be revoked."""
        return list(self.cleaned_data.get("keys", []))


class CloseForm(WithKeys):
    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_keys(user)


def password_field(label: Any) -> forms.Field:
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.CharField(label=label, required=False, strip=False, widget=widget)


class PasswordFields(SetPasswordMixin, forms.Form):
    """A password, twice; if it is empty, one is generated."""

    password = password_field(gettext_lazy("Password"))
    again = password_field(gettext_lazy("The same password again"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].help_text = help_with_rules(
            _("Leave both empty to have one generated: it is shown once."),
            password_validators_help_text_html(),
        )

    def owner(self) -> User:
        """The user who gets the password, which must not resemble the name."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned["password"] != cleaned["again"]:
            self.add_error("again", _("The two passwords differ."))
        else:
            self.validate_password_for_user(self.owner(), "password")
        return cleaned

    def chosen(self) -> tuple[str, str]:
        """The password, and the generated one to be shown, or ""."""
        typed = self.cleaned_data["password"]
        generated = "" if typed else start_password()
        return typed or generated, generated


class NewPasswordForm(PasswordFields):
    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)

    def owner(self) -> User:
        return self.user


class AddUserForm(PasswordFields, forms.ModelForm[User]):
    pairs = NAMES
    role = role_field(initial=Role.VIEWER.group)
    field_order = ["username", "first_name", "last_name", "role", "password", "again"]

    class Meta:
        model = User
        fields = ["username", "first_name", "last_name"]
        field_classes = {"username": UsernameField}
        labels = {"username": gettext_lazy("User name")}
        help_texts = {
            "username": gettext_lazy(
                "Letters, digits and @ . + - _ only. It appears in the history and in "
                "the audit, and can't be changed later."
            )
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget.attrs["autocomplete"] = "off"

    def clean_username(self) -> str:
        username = self.cleaned_data["username"]
        User.check_new_login(username)
        return username

    def owner(self) -> User:
        return User(**self.fields_of_user())

    def fields_of_user(self) -> dict[str, str]:
        return {name: self.cleaned_data.get(name, "") for name in self.Meta.fields}


class EditUserForm(WithKeys, forms.ModelForm[User]):
    """Names, role and API keys. Fields that the user has not changed are not saved."""

    pairs = NAMES
    role = role_field()
    approves = forms.BooleanField(
        label=gettext_lazy("May approve what others enter above a limit"),
        required=False,
        help_text=gettext_lazy(
            "Nobody approves what he has entered, also by a key that he has made. The limits: see "
            "Settings."
        ),
    )
    own_numbers = forms.CharField(
        label=gettext_lazy("Own account and card numbers"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
        help_text=gettext_lazy(
            "One a line, without leading or trailing spaces. Rows for them always need a second "
            "person, whoever enters them."
        ),
    )

    class Meta:
        model = User
        fields = ["first_name", "last_name"]

    def __init__(self, *args: Any, own: bool, provider: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        held = self.instance.role
        self.initial["role"] = held.group if held else ""
        for field in self.fields.values():
            field.show_hidden_initial = True
        if own:
            self.fields["role"].disabled = True
            self.fields["role"].help_text = _("Your own role is changed by another administrator.")
        if provider:
            self.fields["role"].disabled = True
            self.fields["role"].help_text = _("Given by the user’s groups at %(name)s.") % {
                "name": provider
            }

        self.fields["approves"].initial = Approver.objects.filter(user_id=self.instance.pk).exists()
        self.fields["own_numbers"].initial = "\n".join(numbers_of(self.instance))
        if own:
            for name in SECOND_PERSON:
                self.fields[name].disabled = True
                self.fields[name].help_text = _("Your own is changed by another administrator.")
        self.add_keys(self.instance)

    def clean_own_numbers(self) -> list[str]:
        return read_numbers(self.cleaned_data["own_numbers"])

    def changes(self) -> dict[str, Any]:
        """Return what is to be changed in the user's own fields."""
        apart = {"keys", *SECOND_PERSON}
        changed = [name for name in self.changed_data if name not in apart]
        return {name: self.cleaned_data[name] for name in changed}

    def mark(self, user: User, actor: Actor) -> None:
        """Set the right to approve and the own numbers. Raises ValidationError."""
        if not {*SECOND_PERSON}.isdisjoint(self.changed_data):
            approves, numbers = (self.cleaned_data[name] for name in SECOND_PERSON)
            mark(user, actor, approves=approves, numbers=numbers)
