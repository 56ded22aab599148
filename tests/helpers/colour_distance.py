"""How different two colours look: CIEDE2000, also with colour-blind vision, and contrast."""

import numpy as np

# Machado, Oliveira and Fernandes 2009, table of severity 1.0; on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# IEC 61966-2-1: linear sRGB to CIE XYZ, white D65.
TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]],
)


def seen_distance(first, second):
    """The CIEDE2000 difference of two colours, for the vision to which they are most alike.

    Args:
        first, second: RGB in [0, 1].
    """
    return min(
        ciede2000(to_lab(first, vision), to_lab(second, vision)) for vision in VISION.values()
    )


def contrast(first, second):
    """The contrast ratio of two RGB colours in [0, 1], from 1 to 21; WCAG 2.2."""
    low, high = sorted(TO_XYZ[1] @ _linear(each) for each in (first, second))
    return (high + 0.05) / (low + 0.05)


def _linear(rgb):
    rgb = np.asarray(rgb, np.float64)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def to_lab(rgb, vision=VISION["normal"]):
    """CIE L*a*b* of an sRGB colour, as someone with this vision sees it."""
    xyz = TO_XYZ @ np.clip(vision @ _linear(rgb), 0, 1) / (TO_XYZ @ np.ones(3))
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def ciede2000(first, second):
    """The CIEDE2000 difference of two L*a*b* colours; Sharma, Wu and Dalal 2005."""
    (l1, a1, b1), (l2, a2, b2) = first, second
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean_c**7 / (mean_c**7 + 25**7))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    hue = h1 + turn / 2 if c1 * c2 else h1 + h2
    delta_l, delta_c = l2 - l1, c2 - c1
    delta_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    lightness, c = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    s_l = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    s_c, s_h = 1 + 0.045 * c, 1 + 0.015 * c * t
    blue = np.radians(60 * np.exp(-(((hue % 360 - 275) / 25) ** 2)))
    r_t = -2 * np.sqrt(c**7 / (c**7 + 25**7)) * np.sin(blue)
    l_part, c_part, h_part = delta_l / s_l, delta_c / s_c, delta_h / s_h
    return float(np.sqrt(l_part**2 + c_part**2 + h_part**2 + r_t * c_part * h_part))
