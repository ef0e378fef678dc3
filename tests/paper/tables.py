"""The tables of Li, Qi, Torr (CVPR 2020) as the paper prints them; a dash is what it does not report.

The names are ours: `Ours`, with * where a network was pretrained on COCO.
"""

Table = dict[str, dict[str, float]]


def table(columns: str, rows: str) -> Table:
    """One line per method, its name first; cells without a number are left out."""
    names = columns.split()
    found: Table = {}
    for line in rows.strip().splitlines():
        words = line.split()
        cells = zip(names, words[-len(names) :], strict=True)
        found[" ".join(words[: -len(names)])] = {name: float(cell) for name, cell in cells if cell != "-"}
    return found


ONE = "PQ PQth PQst SQ RQ IoU APmask APbox"
NINE = "PQ PQth PQst SQ SQth SQst RQ RQth RQst"

TABLE_1 = table(
    ONE,
    """
    A  54.6 46.0 60.9 77.9 68.4 75.0 -    36.9
    B  59.0 50.2 65.3 80.1 72.4 77.8 -    38.1
    C1 59.3 51.4 65.0 79.8 73.2 78.1 33.8 38.1
    C2 59.6 52.4 64.8 80.4 72.9 78.1 33.8 38.1
    D1 60.6 52.4 66.5 80.4 74.2 79.5 33.7 38.8
    D2 61.4 54.7 66.3 81.1 74.7 79.5 33.7 38.8
    """,
)

# Cityscapes val: above, networks without instance segmentation.
TABLE_2_BOXES = table(
    ONE,
    """
    Li et al.   53.8 42.5 62.1 -    -    79.8 - -
    DeeperLab   56.5 -    -    -    -    -    - -
    SSAP        58.4 50.6 -    -    -    -    - -
    Ours        59.0 50.2 65.3 80.1 72.4 77.8 - 38.1
    """,
)
TABLE_2_MASKS = table(
    ONE,
    """
    TASCNet       55.9 50.5 59.8 -    -    -    -    -
    Attention     56.4 52.7 59.0 -    -    73.6 33.6 -
    Panoptic FPN  57.7 51.6 62.2 -    -    75.0 32.0 -
    UPSNet        59.3 54.6 62.7 79.7 73.0 75.2 33.3 39.1
    Pan. Deeplab  59.7 -    -    -    -    -    -    -
    Seamless      60.3 56.1 63.3 -    -    77.5 33.6 -
    Ours          61.4 54.7 66.3 81.1 74.7 79.5 33.7 38.8
    """,
)

TABLE_3 = table(
    ONE,
    """
    JSIS-Net      26.9 29.3 23.3 72.4 35.7 -    -    -
    Pan. Deeplab  35.1 -    -    -    -    -    -    -
    Panoptic FPN  39.0 45.9 28.7 -    -    -    33.3 -
    UPSNet        42.5 48.6 33.4 78.0 52.5 54.3 34.3 37.8
    Ours          43.4 48.6 35.5 79.6 53.0 53.7 36.4 40.5
    """,
)

TABLE_4 = table(
    NINE,
    """
    P. Deeplab R-50 58.0 -    -    -    -    -    -    -    -
    Ours R-50       61.0 52.7 67.1 81.4 79.6 82.8 73.9 66.2 79.6
    Li et al. R-101 55.4 44.0 63.6 79.7 77.3 81.5 68.1 57.0 76.1
    SSAP R-101      58.9 48.4 66.5 82.4 82.9 82.0 70.6 58.3 79.6
    TASCNet* X-101  60.7 53.4 66.0 81.0 79.7 82.0 73.8 67.0 78.8
    Ours* R-101     63.3 56.0 68.5 82.4 81.0 83.4 75.9 69.1 80.9
    """,
)

TABLE_5 = table(
    NINE,
    """
    JSIS-Net R-50   27.2 29.6 23.4 71.9 71.6 72.3 35.9 39.4 30.6
    P. Deeplab R-50 35.2 -    -    -    -    -    -    -    -
    SSAP R-50       36.9 40.1 32.0 80.7 81.6 79.4 44.8 48.5 39.3
    TASCNet R-50    40.7 47.0 31.0 78.5 80.6 75.3 50.1 57.1 39.6
    Ours R-50       43.6 48.9 35.6 80.1 81.3 78.3 53.3 59.5 44.0
    Attention X-152 46.5 55.9 32.5 81.0 83.7 77.0 56.1 66.3 40.7
    UPSNet R-101    46.6 53.2 36.7 80.5 81.5 78.9 56.9 64.6 45.3
    Ours R-101      47.2 53.5 37.7 81.1 82.3 79.2 57.2 64.3 46.3
    """,
)

TABLE_F = table(
    "PQ SQ RQ",
    """
    Cityscapes B 61.4 81.8 74.7
    Cityscapes C 60.3 80.8 73.5
    COCO B       42.7 79.4 52.2
    COCO C       43.4 79.6 53.0
    """,
)

# Pixels of the truth's things and stuff that V calls things and stuff, in percent of the row.
TABLE_G = table(
    "things stuff",
    """
    Cityscapes things 95.1  4.9
    Cityscapes stuff   0.0 100.0
    COCO things       90.1  9.9
    COCO stuff         4.8 95.2
    """,
)

TABLE_H = table(
    "PQ SQ RQ IoU APbox",
    """
    Ground truths 58.6 80.0 72.0 77.8 36.8
    Predictions   59.0 80.1 72.4 77.8 38.1
    """,
)

# Stuff alone; IoU of the panoptic map.
TABLE_I = table(
    "PQst SQst RQst IoUst",
    """
    Panoptic FPN         59.9 79.3 72.9 74.7
    Panoptic FPN trimmed 62.0 79.6 75.5 74.5
    UPSNet               60.5 79.8 73.6 75.8
    UPSNet trimmed       62.8 80.0 76.3 75.7
    Ours                 64.2 81.4 77.1 78.3
    Ours trimmed         66.3 81.8 79.4 78.2
    """,
)

TABLE_J = table(
    f"{NINE} IoU IoUth IoUst APmask APbox",
    """
    Cityscapes boxes 59.0 50.2 65.3 80.1 78.4 81.2 72.4 63.9 78.6 77.8 78.7 77.2 -    38.1
    Cityscapes masks 61.4 54.7 66.3 81.1 80.0 81.8 74.7 68.2 79.4 79.5 81.0 78.4 33.7 38.8
    COCO masks       43.4 48.6 35.5 79.6 80.0 78.9 53.0 59.2 43.8 53.7 60.4 43.6 36.4 40.5
    """,
)

# Things and stuff classes of the two datasets (Sec. 4).
CITYSCAPES, COCO = (8, 11), (80, 53)


def gain(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """Differences of what both rows report, to the paper's one decimal."""
    return {name: round(value - before[name], 1) for name, value in after.items() if name in before}
