"""The most that is read of a file: what true ones need, and so little that a hostile one harms nobody."""

MOST_PIXELS = (
    50_000_000  # photographs of today's cameras; decoded they are 200 MB, turned or converted twice to three times that
)
MOST_WEBP_PIXELS = 25_000_000  # Pillow decodes WEBP into four copies
LARGE_PIXELS = 8_000_000  # of such images threads decode one at a time
LONGEST_SIDE = 16_384  # of an image, in pixels; no point or box of it is farther out
MOST_IMAGE_BYTES = 1 << 28  # the pixels of a photograph uncompressed, and what its camera adds
MOST_IMAGE_READS = 200_000  # a photograph in PNG takes 60,000; each piece of a hostile one costs Pillow some microseconds
MOST_SCANNED = 20 * MOST_PIXELS  # pixels times passes of a progressive JPEG; ten passes are usual

MOST_MNIST = 60_000  # images in a file

MOST_NUMBERS = 1_000_000  # items of a digitStruct.mat; SVHN's largest has 202,353
BYTES_PER_NUMBER = 64  # a name and a group take more
BYTES_PER_DIGIT = 80  # five references to numbers of eight bytes
MOST_DATASET_BYTES = 1 << 25  # a million references take 8 MB

MOST_LIST_BYTES = 1 << 26  # CUB's longest list has 4 MB
MOST_LINES = 4_000_000  # of a list, or of images times parts; CUB has 176,820
MOST_IDS = 500_000  # of images; CUB has 11,788
MOST_NAMES = 10_000  # of classes or parts; CUB has 200 and 15
LONGEST_NAME = 255  # as file systems have it

MOST_MEMBERS = 300_000  # of an archive; SVHN's largest has 202,355
MOST_ARCHIVE_BYTES = 1 << 32  # SVHN's largest has 2 GB
SLACK, MOST_RATIO = 1 << 26, 8  # unpacked bytes: some, and so many times those of the archive; of SVHN and CUB less than twice
MOST_HEADER = 1 << 16  # bytes between two members: a long name and its padding
TIMEOUT = 60  # seconds that a server may be silent

MOST_TABLE_BYTES = 1 << 26  # of a cache's manifest, or of its names
