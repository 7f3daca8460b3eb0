"""The colours of residuum's figures: one a name, whatever their number."""

import colorsys

# Okabe-Ito with grey, the first name (base) in black; then colours of which none is close to one of these.
COLOURS = (
    "#000000", "#D55E00", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#808080", "#56B4E9",
    "#882255", "#8A8A20", "#332288", "#44AA99", "#8C564B", "#661100", "#116033", "#9B6DD6",
)  # fmt: skip


def colours(names):
    """A colour for each of some names, in their order; past 16 by the name's own hue."""
    return {name: COLOURS[i] if i < len(COLOURS) else by_hue(name) for i, name in enumerate(dict.fromkeys(names))}


def by_hue(name):
    """A colour of medium strength, by FNV-1a of the name."""
    of = 0xCBF29CE484222325
    for byte in name.encode():
        of = (of ^ byte) * 0x100000001B3 % 2**64
    rgb = colorsys.hls_to_rgb((of % 360) / 360, 0.42, 0.55)
    return "#" + "".join(f"{round(x * 255):02X}" for x in rgb)
