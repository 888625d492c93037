"""What pyasn1 reads in tokens, by the module of RFC 4178 appendix A and of MS-SPNG 2.2.1, for
tests/asn1.rs: "init HEX" or "resp HEX" on each line of descriptor 0, and one line about it on
descriptor 1: "refused", or the fields as digits.
"""

import sys

from pyasn1.codec.der import decoder, encoder
from pyasn1.error import PyAsn1Error
from pyasn1.type import char, namedtype, namedval, tag, univ

SPNEGO = univ.ObjectIdentifier("1.3.6.1.5.5.2")


def context(number):
    return tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, number)


def fields(*rows):
    return namedtype.NamedTypes(*(
        kind(name, value.subtype(explicitTag=context(number))) for kind, name, number, value in rows))


OPTIONAL = namedtype.OptionalNamedType


class InitialToken(univ.Sequence):
    tagSet = univ.Sequence.tagSet.tagImplicitly(
        tag.Tag(tag.tagClassApplication, tag.tagFormatConstructed, 0))
    componentType = namedtype.NamedTypes(
        namedtype.NamedType("thisMech", univ.ObjectIdentifier()),
        namedtype.NamedType("innerContextToken", univ.Any()))


class MechTypeList(univ.SequenceOf):
    componentType = univ.ObjectIdentifier()


class NegHints(univ.Sequence):
    componentType = fields(
        (OPTIONAL, "hintName", 0, char.GeneralString()),
        (OPTIONAL, "hintAddress", 1, univ.OctetString()))


class Either(univ.Choice):
    """Field 3: mechListMIC of NegTokenInit, or negHints of NegTokenInit2, which alone has a field 4."""
    componentType = namedtype.NamedTypes(
        namedtype.NamedType("mechListMIC", univ.OctetString()),
        namedtype.NamedType("negHints", NegHints()))


class NegTokenInit2(univ.Sequence):
    componentType = fields(
        (namedtype.NamedType, "mechTypes", 0, MechTypeList()),
        (OPTIONAL, "reqFlags", 1, univ.BitString()),
        (OPTIONAL, "mechToken", 2, univ.OctetString()),
        (OPTIONAL, "either", 3, Either()),
        (OPTIONAL, "mechListMIC", 4, univ.OctetString()))


class NegState(univ.Enumerated):
    namedValues = namedval.NamedValues(
        ("accept-completed", 0), ("accept-incomplete", 1), ("reject", 2), ("request-mic", 3))


class NegTokenResp(univ.Sequence):
    componentType = fields(
        (OPTIONAL, "negState", 0, NegState()),
        (OPTIONAL, "supportedMech", 1, univ.ObjectIdentifier()),
        (OPTIONAL, "responseToken", 2, univ.OctetString()),
        (OPTIONAL, "mechListMIC", 3, univ.OctetString()))


INIT = NegTokenInit2().subtype(explicitTag=context(0))
RESP = NegTokenResp().subtype(explicitTag=context(1))


class Refused(Exception):
    pass


def whole(octets, kind):
    value, rest = decoder.decode(octets, asn1Spec=kind)
    if rest:
        raise Refused("octets are left over")
    return value


def shown(value):
    if value is None or not value.isValue:
        return "-"
    return "=" + bytes(value).hex()


def content(identifier):
    # Without the tag around it, and with a length of one octet: all are short.
    return encoder.encode(univ.ObjectIdentifier(tuple(identifier)))[2:].hex()


def init(token):
    framed = whole(token, InitialToken())
    if framed["thisMech"] != SPNEGO:
        raise Refused("of another mechanism")
    value = whole(bytes(framed["innerContextToken"]), INIT)
    mic, either = value["mechListMIC"], value["either"]
    if either.isValue and either.getName() == "mechListMIC":
        mic = either["mechListMIC"]
    mechs = ",".join(content(mech) for mech in value["mechTypes"])
    return f"{mechs} {shown(value['mechToken'])} {shown(mic)}"


def resp(token):
    value = whole(token, RESP)
    state, mech = value["negState"], value["supportedMech"]
    return " ".join((
        str(int(state)) if state.isValue else "-", content(mech) if mech.isValue else "-",
        shown(value["responseToken"]), shown(value["mechListMIC"])))


for line in sys.stdin:
    kind, digits = line.split(" ")
    try:
        print({"init": init, "resp": resp}[kind](bytes.fromhex(digits)))
    except (Refused, PyAsn1Error):
        print("refused")
