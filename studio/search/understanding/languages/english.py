"""English words; their terms are the ones that other languages are translated to."""

from studio.search.understanding.languages.language import Language

GARMENTS = {
    "t-shirt": "t-shirt, t-shirts, tshirt, tshirts, tee, tees, tee shirt, tee shirts",
    "shirt": "shirt, shirts, button-up shirt, button-down shirt, overshirt, overshirts,"
    " oxford shirt",
    "blouse": "blouse, blouses",
    "top": "top, tops, crop top, crop tops, longsleeve, longsleeves, bodysuit, bodysuits",
    "tank top": "tank top, tank tops, undershirt, undershirts, singlet, camisole, camisoles, cami",
    "polo shirt": "polo, polos, polo shirt, polo shirts",
    "sweater": "sweater, sweaters, jumper, jumpers, pullover, pullovers, knitwear",
    "turtleneck": "turtleneck, turtlenecks, polo neck, polo necks, roll neck, rollneck",
    "cardigan": "cardigan, cardigans",
    "hoodie": "hoodie, hoodies, hoody, hooded sweatshirt, hooded sweatshirts",
    "sweatshirt": "sweatshirt, sweatshirts, sweat shirt, sweat shirts",
    "waistcoat": "waistcoat, waistcoats, gilet, gilets, vest, vests",
    "dress": "dress, dresses, gown, gowns, sundress, sundresses, minidress, shirtdress",
    "skirt": "skirt, skirts, miniskirt, miniskirts, mini skirt, mini skirts",
    "trousers": "trousers, trouser, pants, slacks, chinos, chino, joggers, sweatpants, culottes",
    "jeans": "jeans",
    "leggings": "leggings, legging, jeggings",
    "shorts": "shorts, short pants, hot pants, bermudas",
    "jumpsuit": "jumpsuit, jumpsuits, playsuit, playsuits, romper, rompers, dungarees, overalls",
    "suit": "suit, suits, trouser suit, tuxedo, tuxedos",
    "blazer": "blazer, blazers, suit jacket, suit jackets, sports coat",
    "jacket": "jacket, jackets, bomber, bombers, parka, parkas, windbreaker, anorak, anoraks",
    "coat": "coat, coats, overcoat, overcoats, raincoat, raincoats, trench coat, trench coats",
    "outerwear": "outerwear",
    "shoes": "shoes, shoe, footwear",
    "sneakers": "sneakers, sneaker, trainers, trainer, running shoes, gym shoes",
    "boots": "boots, boot, ankle boots, chelsea boots, wellingtons, booties",
    "sandals": "sandals, sandal, flip-flops, flip flops, espadrilles",
    "heels": "heels, high heels, pumps, stilettos, court shoes",
    "loafers": "loafers, loafer, moccasins, moccasin",
    "slippers": "slippers, slipper, clogs, mules",
    "bag": "bag, bags, purse, purses, tote, totes, shopper bag, duffel, duffle",
    "handbag": "handbag, handbags, shoulder bag, shoulder bags, clutch, clutches",
    "backpack": "backpack, backpacks, rucksack, rucksacks",
    "wallet": "wallet, wallets, card holder",
    "hat": "hat, hats, beanie, beanies, cap, caps, beret, berets, headwear",
    "scarf": "scarf, scarves, shawl, shawls",
    "gloves": "gloves, glove, mittens, mitten",
    "belt": "belt, belts",
    "tie": "tie, ties, bow tie, bow ties, necktie, neckties",
    "socks": "socks, sock, no-show socks",
    "tights": "tights, stockings, stocking, pantyhose, hosiery",
    "underwear": "underwear, boxers, briefs, panties, thong, lingerie, knickers",
    "bra": "bra, bras, bralette, bralettes",
    "pyjamas": "pyjamas, pajamas, pyjama, pajama, nightgown, nightgowns, nightdress, nightshirt",
    "bathrobe": "bathrobe, bathrobes, dressing gown, dressing gowns, robe, robes",
    "swimwear": "swimwear, swimsuit, swimsuits, bikini, bikinis, swim shorts, swim trunks",
    "jewellery": "jewellery, jewelry, necklace, necklaces, earrings, bracelet, bracelets",
    "watch": "watch, watches",
    "sunglasses": "sunglasses",
    "umbrella": "umbrella, umbrellas",
    # What follows a garment's name and makes it something else: "shoe laces", "dress pattern".
    "accessory": "laces, shoelaces, insoles, insole, hanger, hangers, box, boxes, cover, covers,"
    " strap, straps, rack, racks, polish, horn, organiser, organizer, charm, dryer, stand, hook,"
    " sewing pattern, dress pattern, zip, buttons, cufflinks, clip, clips, kit, steamer, press",
}
COLOURS = {
    "black": "black, jet black",
    "white": "white, snow white",
    "off white": "off-white, off white, ivory, ecru",
    "cream": "cream",
    "grey": "grey, gray, light grey, light gray, dark grey, dark gray",
    "charcoal": "charcoal, anthracite",
    "navy": "navy, navy blue, dark blue, midnight blue",
    "blue": "blue, royal blue, cobalt, cobalt blue",
    "light blue": "light blue, sky blue, baby blue, pale blue",
    "turquoise": "turquoise, teal, aqua",
    "green": "green, dark green, bottle green, forest green, light green",
    "olive": "olive, khaki, olive green",
    "mint": "mint, mint green",
    "yellow": "yellow, mustard, mustard yellow",
    "orange": "orange",
    "coral": "coral, salmon, apricot",
    "red": "red, dark red, bright red, scarlet",
    "burgundy": "burgundy, maroon, bordeaux, wine red",
    "pink": "pink, hot pink, light pink, pale pink, fuchsia, magenta, rose pink",
    "purple": "purple, violet, dark purple",
    "lilac": "lilac, lavender, mauve",
    "brown": "brown, dark brown, chocolate brown, light brown",
    "camel": "camel, cognac, tan",
    "beige": "beige, sand, taupe, nude",
    "gold": "gold, golden",
    "silver": "silver",
    "multicoloured": "multicoloured, multicolored, multicolour, multicolor, colourful, colorful",
}
PATTERNS = {
    "plain": "plain, solid, solid colour, solid color, unpatterned",
    "striped": "striped, stripe, stripes, stripy, stripey, pinstripe, pinstriped, pinstripes",
    "dotted": "dotted, dots, dot, polka dot, polka dots, polka dotted, spotted, spots",
    "checked": "checked, checks, checkered, chequered, plaid, tartan, gingham, check pattern",
    "floral": "floral, flowers, flowery, flower print, floral print",
    "animal print": "animal print, leopard, leopard print, zebra, zebra print, snake print",
    "printed": "printed, patterned",
    "camouflage": "camouflage, camo",
    "paisley": "paisley",
    "tie-dye": "tie-dye, tie dye",
    "herringbone": "herringbone",
}
MATERIALS = {
    "cotton": "cotton", "linen": "linen", "wool": "wool, woollen, woolen, merino", "silk": "silk",
    "leather": "leather", "suede": "suede", "denim": "denim", "polyester": "polyester",
    "velvet": "velvet", "cashmere": "cashmere", "viscose": "viscose", "satin": "satin",
    "lace": "lace", "corduroy": "corduroy", "fleece": "fleece", "nylon": "nylon",
    "canvas": "canvas", "tweed": "tweed", "fur": "fur", "faux fur": "faux fur, fake fur",
    "faux leather": "faux leather, vegan leather, fake leather, pleather",
}  # fmt: skip
PEOPLE = {
    "women": "women, woman, womens, womans, ladies, lady, female",
    "men": "men, man, mens, gents, gentlemen, male",
    "kids": "kids, kid, children, childrens, child, toddlers, toddler, baby, babies",
    "girls": "girls, girl", "boys": "boys, boy", "people": "people, adults, teens, seniors",
}  # fmt: skip

ENGLISH = Language(
    code="en",
    looks={
        "garment": GARMENTS, "colour": COLOURS, "pattern": PATTERNS, "material": MATERIALS,
        "person": PEOPLE,
    },
    grammar={
        "below": "under, below, less than, cheaper than, no more than, not more than, not over,"
        " up to, at most, not above, maximum, lower than, at the most",
        "above": "over, above, more than, at least, no less than, not less than, not under, from,"
        " starting at, minimum, not below, higher than",
        "between": "between, in between, in the range of, price range",
        "from": "from",
        "to": "to, and, until",
        "about": "about, around, approximately, roughly, circa, ca",
        "bound": "max, for, price, priced, priced at, costing, budget",
        "at most": "or less, or under, or below, or cheaper, max,"
        " maximum, tops",
        "and": "and", "or": "or, nor",
        "not": "not, no, without, non, except, except for, excluding, but not, but no, minus,"
        " but without, not by, not from, and not, and no, anything but, other than, isnt, arent,"
        " with no, not in, that is not, that are not, which is not",
        "only": "not only, not just, not too, not very, no more, not so, why not, no matter",
        "in stock": "in stock, in-stock, available, available now, available immediately,"
        " that is in stock, that are in stock, currently available",
        "sold out": "sold out, out of stock, not in stock, unavailable, not available",
        "size": "size, sizes, in size, sz",
        "cheap": "cheap, inexpensive, affordable, low price, low priced, low cost, budget",
        "cheapest": "cheapest, lowest price, lowest priced, least expensive",
        "dearest": "most expensive, priciest, dearest, highest price",
        "newest": "newest, latest, new arrivals, newest first, just arrived",
        "with": "with, featuring, having",
        "for": "for, to wear with, to go with, to match, matching, like",
        "in": "in", "but": "but",
        "article": "a, an, the, by, any, some, of, colour, color, coloured, colored",
        "unit": "cm, mm, m, km, inch, inches, ft, feet, years, year, yrs, yr, months, month,"
        " old, kg, g, gr, lb, lbs, oz, l, litre, litres, liter, ml, percent, denier, den, s, th,"
        " st, nd, rd, pieces, pcs, pack, packs, days, hours, x, pairs, w, eu, uk, us, d, dpi, mah,"
        " degrees, spf, items, cards",
        "idiom": "under armour, under armor, not your daughters jeans, no name, no 5,"
        " cheap monday, old navy, new balance, golden goose, red wing, free people, air max,"
        " max mara, no fear, no boundaries, no comment, no problem, no way, off the shoulder,"
        " over the knee, under the sea, under the stars, not found, no logo, no iron, non iron,"
        " no sew, without walls, between us, black friday, white stripes, pink floyd, green day,"
        " red hot chili peppers, deep purple, blue man group, guns n roses, rolling stones, queen,"
        " star wars, dress code, black tie, white tie, red carpet, colour block, color block,"
        " top gun, hard rock, one size, plus size, free size, just cavalli, coach, orange county",
        "ordinary": "only, next, now, new, best, just, all, more, most, other, own, every, one,"
        " first, nice,"
        " hot, cool, big, small, large, medium, extra, much, many, really, very, shift, short,"
        " shorts, block, greek, crown, plant, plane, paint, plays, press,"
        " cross, bland, blank, brow, brawn, greet, great, gray, gret, bleed, blur, while, write,"
        " wide, ping, pins, punk, pine, pint, park, pack, perk, purse, pump, point, boat, book,"
        " boost, root, foot, boss, bold, cold, gold, good, fold, golf, goal, road, rock, role,"
        " rope,"
        " ride, ribbed, shine, shore, shoot, show, shot, shop, short, skit, skirt, spirit, sport,"
        " sports, shower, start, smart, sweet, sweat, sweater, swatch, watch, match, jack, packet,"
        " racket, pocket, bucket, basket, ticket, cost, coal, goat, coast, cloak, clock, heel,"
        " hero,"
        " here, reels, wheel, lace, place, face, lane, line, liner, linear, lines, linings, lining,"
        " leaner, cape, cope, care, scar, scare, sand, band, brand, bond, belly, felt, bell, melt,"
        " crew, neck, slip, silk, slim, slime, skin, wood, world, word, pool, tool, cotton, button,"
        " kitten, mitten, sock, shock, stock, socket, dress, dressy, dressed, tress, chess, beach,"
        " beanie, jersey, rompers, trouble, trainer, training, strip, stripper, string, spring,"
        " print, point, paint, plan, plaid, planet, maxi, midi, mini, lounge, casual, formal,"
        " party,"
        " wedding, office, summer, winter, autumn, vintage, sleeve, sleeves, sleeveless, collar,"
        " hooded, oversized, loose, slimfit, regular, relaxed, stretch, soft, warm, light, heavy,"
        " long, high, waist, waisted, cropped, quilted, padded, puffer, ruffle, ruffled, pleated,"
        " wrap, flared, straight, skinny, ripped, washed, faded, bright, dark, pale, neon,"
        " metallic,"
        " glitter, sequin, sequins, embroidered, boho, gothic, retro, street, basic, classic,"
        " luxury,"
        " designer, outfit, outfits, clothes, clothing, fashion, style, stylish, garment, cute,"
        " pretty, elegant, comfy, comfortable, waterproof, running, hiking, travel, school, work,"
        " gift, gifts, sale, order, tank, tans, teak, real, meal, mine, minty, mind, pearl, peach,"
        " plum, ruby, rust, rusty, stone, coin, corn, coral, floral, oral, flower, lower, power,"
        " tower, towel, vowel, novel, navel, wave, nave, savvy, army, nearly, yellow, fellow,"
        " below,"
        " mellow, pillow, willow, oliver, live, alive, over, cover, clover, under, wonder, hood,"
        " food, moody, body, bodies, shoelace, mountain, fountain, machine, washing, phone, laptop",
    },
    shared="tan, nude, sand, top, tops, mules, tie, ties, pumps, spots, watch, box, kit, press,"
    " stand, clip, cover, lace",
)  # fmt: skip
