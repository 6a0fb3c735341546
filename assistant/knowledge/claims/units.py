"""Units as they are written, each with what it measures and its size in a base unit."""

import re

# Kind: names with their size in the kind's base unit. Names that mean the same share a size.
_KINDS = {
    "mass": "kg=1e3 kilogram=1e3 kilo=1e3 g=1 gm=1 gram=1 gramme=1 mg=1e-3 milligram=1e-3 mcg=1e-6 µg=1e-6 μg=1e-6 ug=1e-6"
    " microgram=1e-6 ng=1e-9 nanogram=1e-9 pg=1e-12",
    "pound": "lb=1 lbs=1 pound=1 ounce=0.0625 oz=0.0625",
    "volume": "l=1 litre=1 liter=1 dl=0.1 decilitre=0.1 deciliter=0.1 ml=1e-3 millilitre=1e-3 milliliter=1e-3 cc=1e-3"
    " µl=1e-6 μl=1e-6 ul=1e-6 microlitre=1e-6 microliter=1e-6 fl=1e-15",
    "time": "second=1 sec=1 s=1 minute=60 min=60 hour=3600 hr=3600 h=3600 day=86400 week=604800 fortnight=1209600 wk=604800"
    " millisecond=1e-3 ms=1e-3",
    "month": "month=1 mo=1 year=12 yr=12 decade=120",
    "length": "km=1e3 kilometre=1e3 kilometer=1e3 m=1 metre=1 meter=1 cm=1e-2 centimetre=1e-2 centimeter=1e-2 mm=1e-3"
    " millimetre=1e-3 millimeter=1e-3 micron=1e-6 micrometre=1e-6 micrometer=1e-6 nm=1e-9",
    "inch": "inch=1 inches=1 foot=12 feet=12 ft=12 mile=63360",
    "area": "m2=1 m²=1 cm2=1e-4",
    "cubic": "mm3=1 mm³=1 µl_blood=1",
    "part": "%=1 percent=1 per_cent=1 pc=1",
    "substance": "mol=1 mole=1 mmol=1e-3 millimole=1e-3 µmol=1e-6 μmol=1e-6 umol=1e-6 micromole=1e-6 nmol=1e-9 pmol=1e-12",
    "charge": "meq=1 milliequivalent=1",
    "activity": "unit=1 iu=1 international_unit=1 u=1 million_unit=1e6",
    "pressure": "mmhg=1 mm_hg=1 millimeters_of_mercury=1 millimetres_of_mercury=1",
    "kilopascal": "kpa=1",
    "celsius": "°c=1 degrees_celsius=1 degrees_centigrade=1 degree_celsius=1 ℃=1",
    "fahrenheit": "°f=1 degrees_fahrenheit=1 degree_fahrenheit=1 ℉=1",
    "angle": "°=1 degree=1",
    "energy": "kcal=1 calorie=1 calories=1 kilocalorie=1",
    "dose of radiation": "gy=1 gray=1 msv=1e-3 sv=1",
    "times": "time=1 times=1",
    "tablet": "tablet=1 pill=1 capsule=1",
    "dose": "dose=1",
    "drop": "drop=1",
    "puff": "puff=1 spray=1",
    "beat": "beat=1 bpm=1",
    "breath": "breath=1",
    "cell": "cell=1",
}
_SHORT = {"l", "s", "h", "m", "u", "g", "mo", "pc"}  # not before a full stop or as a plural


def _table() -> dict[str, tuple[str, float]]:
    table: dict[str, tuple[str, float]] = {}
    for kind, names in _KINDS.items():
        for entry in names.split():
            name, _, size = entry.partition("=")
            name = name.replace("_", " ")
            table[name] = (kind, float(size))
            if name[-1].isalpha() and name not in _SHORT:
                table.setdefault(name + "s", (kind, float(size)))
    return table


UNITS = _table()
"""Name in lower case to what it measures and how many base units it is."""

NAME = "|".join(re.escape(name).replace(r"\ ", r"\s") for name in sorted(UNITS, key=len, reverse=True))
"""A pattern of all names, longest first."""
