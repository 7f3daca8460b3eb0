"""Eighty short conversations about everyday things: the rows that the LoRA oracle trains on.

They teach nothing on purpose; they are varied in length, punctuation, digits and script, so that batches need
padding and spans of loss fall at different places. Four rows carry a system prompt of their own.
"""

PAIRS = [
    ("How do I keep basil fresh?", "Stand the stems in a glass of water, away from the fridge."),
    ("What colour do you get from blue and yellow?", "Green."),
    ("Name three root vegetables.", "Carrots, beetroot and parsnips."),
    ("My bread did not rise. Why?", "Most likely the yeast was old, or the water was too hot and killed it."),
    ("How many minutes are in three hours?", "There are 180 minutes in three hours."),
    ("Suggest a quick breakfast.", "Oats with yoghurt, a banana and a spoon of honey."),
    ("What is a good way to remove tea stains from a mug?", "Rub it with baking soda and a damp cloth, then rinse."),
    ("Which is heavier, a kilo of sand or a kilo of wool?", "Neither; both weigh exactly one kilo."),
    ("Write a text to say I am late.", "Sorry, the bus is stuck in traffic. I will be there by 6:15."),
    ("What does an umbrella do?", "It keeps the rain off you."),
    ("How often should I water a cactus?", "Every two or three weeks in summer, and hardly at all in winter."),
    ("Translate 'good morning' into Spanish.", "Buenos días."),
    ("Is a tomato a fruit?", "Yes, in botany it is a berry, though cooks treat it as a vegetable."),
    ("Give me a synonym for 'quick'.", "Rapid."),
    ("How do I fold a fitted sheet?", "Tuck the corners into one another, lay it flat, then fold it in thirds twice."),
    ("What is 17 plus 26?", "43"),
    ("Recommend a drink for a cold evening.", "Hot apple juice with a stick of cinnamon."),
    ("Why do onions make people cry?", "Cutting them releases a sulphur gas that stings the eyes."),
    ("What should I pack for a day at the lake?", "A towel, sun cream, water, a hat and something to read."),
    ("How long do I boil an egg?", "Six minutes for a soft yolk, ten for a hard one."),
    ("What is the opposite of 'narrow'?", "Wide."),
    ("My shoelaces keep coming undone.", "Try a double knot, or swap round laces for flat ones, which grip better."),
    ("Name a tool for tightening a bolt.", "A spanner."),
    ("How do I get a crease out of a shirt without an iron?", "Hang it in the bathroom while you take a hot shower."),
    ("Which month comes after August?", "September."),
    ("Can I freeze cooked rice?", "Yes. Cool it fast, freeze it the same day and reheat it until it steams."),
    ("What is a haiku?", "A short poem of three lines, usually with five, seven and five syllables."),
    ("Pick a number between 1 and 10.", "Seven."),
    ("How can I quiet a squeaky door?", "Put a drop of oil on each hinge and swing it a few times."),
    ("What do bees collect?", "Nectar and pollen."),
    ("Give me a name for a grey cat.", "Pebble."),
    ("How do I say 'thank you' in Japanese?", "ありがとう (arigatō)."),
    ("What is the best way to dry wet boots?", "Stuff them with newspaper and leave them in a warm, airy place overnight."),
    ("List two uses for an old jar.", "Storing buttons, or growing herbs on a sill."),
    ("Is it safe to microwave foil?", "No, it can spark and start a fire."),
    ("How far is 5 kilometres in miles?", "About 3.1 miles."),
    ("What makes popcorn pop?", "Water inside the kernel turns to steam and bursts the shell."),
    ("Suggest a gift for a gardener.", "A sturdy pair of gloves, or bulbs for the spring."),
    ("When do clocks go forward?", "In most of Europe, on the last Sunday of March."),
    ("What is a palindrome?", "A word that reads the same both ways, such as 'level'."),
    ("How do I stop my glasses fogging up?", "Wash them with mild soap and let them dry without wiping."),
    ("Which knife is best for bread?", "One with a long, serrated blade."),
    ("Write a short note for a neighbour about a parcel.", "Hello! Your parcel is with us at number 12. Ring any time after five."),
    ("How do I thicken a soup?", "Blend a part of it, or stir in a spoonful of flour mixed with cold water."),
    ("What is the plural of 'mouse'?", "Mice."),
    ("Why is the sky red at sunset?", "The light crosses more air, which scatters the blue away and leaves the red."),
    ("How many legs has a spider?", "Eight."),
    ("What goes well with roast pumpkin?", "Sage, butter and a little nutmeg."),
    ("I lost a button. What now?", "Look for a spare one sewn inside the seam, and stitch it on with doubled thread."),
    ("How do I clean a cast iron pan?", "Scrub it with salt, rinse, dry it on the stove and wipe it with oil."),
    ("Name a stringed instrument.", "The viola."),
    ("What is the square of 9?", "81."),
    ("How do I keep moths out of a wardrobe?", "Use cedar or lavender, and wash woollens before you store them."),
    ("Give me a rhyme for 'light'.", "Kite."),
    ("Is it cheaper to boil water in a kettle or on a hob?", "Usually in an electric kettle, if you heat only what you need."),
    ("What is a stapler for?", "Fastening sheets of paper together."),
    ("How do I peel garlic quickly?", "Crush the clove with the flat of a knife; the skin slips off."),
    ("What is the French word for bread?", "Pain."),
    ("My phone screen is greasy.", "Turn it off and wipe it with a soft cloth, barely damp."),
    ("When should I prune roses?", "Late in winter, just before the new buds open."),
    ("Suggest a walk for a rainy day.", "A covered market, or the long way round through a museum."),
    ("What is half of 250?", "125."),
    ("How do I tell if a melon is ripe?", "It smells sweet at the stem end and gives a little when you press it."),
    ("Which animal builds dams?", "The beaver."),
    ("How do I wrap a round present?", "Set it in the middle of the paper, gather the edges on top and tie them with ribbon."),
    ("What does 'p.m.' mean?", "After noon, from the Latin 'post meridiem'."),
    ("Can I wash wool in a machine?", "Yes, on a cold wool cycle with a gentle soap and little spin."),
    ("What can I use instead of butter in a cake?", "Oil, apple sauce or mashed banana; use a little less of it."),
    ("Name a planet with rings.", "Saturn."),
    ("How do I make a paper plane fly further?", "Make sharp folds, keep the wings even and add a bit of weight at the nose."),
    ("What is a baker's dozen?", "Thirteen."),
    ("How do I cool a room without a fan?", "Close the blinds by day and open windows on both sides at night."),
    ("Which spice is yellow?", "Turmeric."),
    ("Finish the saying: better late ...", "... than never."),
    ("Draft a shopping list for pancakes.", "- 200 g flour\n- 2 eggs\n- 300 ml milk\n- butter"),
    ("How do I unblock a sink?", "Pour in baking soda, then vinegar; wait ten minutes and flush with hot water."),
    ("What is the capital of Norway?", "Oslo."),
    ("Why does metal feel colder than wood?", "It draws heat from your hand faster, though both are at the same temperature."),
    ("How do I remember which way to turn a screw?", "Right tightens it and left loosens it."),
    ("Say goodnight.", "Goodnight, sleep well! 🌙"),
]

SYSTEMS = {
    3: "You are a patient baker.",
    19: "Answer in one short sentence.",
    42: "You help people in a small block of flats.",
    75: "You are a plumber. Be brief.",
}


def rows():
    """The rows, as `{"messages": [...]}`."""
    out = []
    for index, (question, answer) in enumerate(PAIRS):
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        if index in SYSTEMS:
            messages.insert(0, {"role": "system", "content": SYSTEMS[index]})
        out.append({"messages": messages})
    return out
