/* SPDX-License-Identifier: Apache-2.0 */
/* Fingerprints as words: 256 everyday words, no two alike in their first four letters or within one
 * letter of each other. */
#include "proto/words.h"

#include <string.h>

/* clang-format off */
static const char WORDS[256][WORDS_LENGTH_MAX + 1] = {
    "acorn", "almond", "amber", "anchor", "apple", "apron", "arrow", "atlas",
    "autumn", "bacon", "badge", "bagel", "bamboo", "banjo", "barley", "basket",
    "bell", "biscuit", "bishop", "blanket", "bottle", "bridge", "bronze", "bucket",
    "buffalo", "butter", "cabin", "cactus", "camel", "candle", "canyon", "carpet",
    "castle", "cedar", "cherry", "chimney", "circus", "clover", "cobra", "coffee",
    "copper", "cotton", "cradle", "crystal", "cushion", "dagger", "daisy", "dancer",
    "desert", "diamond", "doctor", "dolphin", "donkey", "dragon", "drummer", "duck",
    "eagle", "echo", "elbow", "elm", "emerald", "engine", "falcon", "farmer",
    "feather", "fender", "ferry", "fiddle", "figure", "flagon", "flute", "forest",
    "fortune", "fossil", "fox", "furnace", "galaxy", "garlic", "gate", "ginger",
    "giraffe", "glacier", "goblet", "golden", "gravel", "guitar", "hammer", "harbor",
    "hazel", "helmet", "hermit", "hippo", "honey", "hornet", "hunter", "icicle",
    "iguana", "island", "ivory", "jacket", "jaguar", "jelly", "jigsaw", "jockey",
    "judge", "jungle", "juniper", "kayak", "kettle", "kitten", "knight", "koala",
    "ladder", "lagoon", "lantern", "laurel", "lemon", "leopard", "lighter", "lily",
    "linen", "lobster", "lotus", "lunar", "magnet", "magpie", "maple", "marble",
    "meadow", "melon", "minute", "mirror", "monarch", "mosaic", "muffin", "museum",
    "mustard", "napkin", "nectar", "needle", "nickel", "nomad", "noodle", "north",
    "nutmeg", "oasis", "oboe", "ocean", "olive", "onion", "opera", "orchid",
    "otter", "oven", "oyster", "pagoda", "palace", "panda", "parrot", "peanut",
    "pebble", "pelican", "pepper", "piano", "pigeon", "pilot", "pirate", "planet",
    "plum", "pocket", "pony", "poplar", "puzzle", "quail", "quartz", "queen",
    "quiver", "rabbit", "radish", "raven", "ribbon", "river", "robot", "rooster",
    "ruby", "saddle", "salmon", "sandal", "sapling", "satchel", "saturn", "scarf",
    "school", "shadow", "sheriff", "silver", "siren", "slipper", "snail", "soap",
    "soldier", "spider", "spruce", "squid", "stable", "summer", "sunset", "swan",
    "sweater", "tailor", "tango", "teapot", "temple", "thimble", "thunder", "tiger",
    "timber", "tomato", "torch", "tower", "trumpet", "tulip", "tunnel", "turtle",
    "umpire", "unicorn", "urchin", "vacuum", "valley", "vanilla", "velvet", "vessel",
    "village", "violin", "volcano", "voyage", "waffle", "wagon", "walnut", "walrus",
    "weaver", "whale", "whisker", "willow", "window", "winter", "wizard", "wolf",
    "wombat", "yacht", "yellow", "yogurt", "zebra", "zenith", "zigzag", "zipper",
};
/* clang-format on */

const char *words_for_byte(unsigned char byte)
{
    return WORDS[byte];
}

void words_of(char out[WORDS_BYTES], const unsigned char fingerprint[WORDS_FINGERPRINT_BYTES])
{
    char *end = out;
    for (int i = 0; i < WORDS_COUNT; i++) {
        const char *word = WORDS[fingerprint[i]];
        size_t n = strlen(word);
        memcpy(end, word, n);
        end[n] = i + 1 < WORDS_COUNT ? ' ' : '\0';
        end += n + 1;
    }
}
