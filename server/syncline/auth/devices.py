"""The device that a client names itself, for credentials that name none."""

from __future__ import annotations

from dataclasses import replace

from syncline.core.ids import DeviceId, device_id
from syncline.errors import InvalidInput, Unauthenticated
from syncline.ports import Credential, Presented


def with_device(credential: Credential, presented: Presented) -> Credential:
    """``credential`` by the device that was sent beside it, unless it names one: then it must be the same.

    A device id tells devices of one identity apart, and opens nothing: receipts are kept by identity and device.
    Raises Unauthenticated.
    """
    if presented.device is None:
        return credential
    named = named_device(presented.device, "x-syncline-device")
    known = credential.viewer.device
    if known is None:
        return replace(credential, viewer=replace(credential.viewer, device=named))
    if known != named:
        raise Unauthenticated("the device that was sent is not that of the token")
    return credential


def named_device(text: str, field: str) -> DeviceId:
    """Raises Unauthenticated."""
    try:
        return device_id(text)
    except InvalidInput as error:
        raise Unauthenticated(f"{field} {error.facts['reason']}") from error
