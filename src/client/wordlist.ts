/**
 * The words that peers compare, and which of them they see: 256 that most people can spell, each known by its first four
 * letters. Changing one breaks who compares.
 */
export const WORDS: readonly string[] = `
acid acorn actor agent alarm album alley amber anchor angel ankle apple apron arch arena armor arrow atlas attic
autumn badge bagel bamboo banjo basil basket beach beard beaver bench berry bicycle bishop blanket blossom bonus
border bottle bracket bread brick bridge broom bucket buffalo butter cabin cactus camel canal candle canyon captain
carbon carpet castle cedar cement chalk cherry chimney circus cloud clover cobra coffee comet copper coral cotton
cousin cradle crayon cricket crown crystal curtain cymbal daisy dancer delta denim desert diamond dinner doctor
dolphin domino donkey dragon drum eagle earth easel echo eclipse elbow elephant engine evening fabric falcon farmer
feather fence fiddle finger flag flute forest fossil fountain fox galaxy garden garlic ginger giraffe glacier glove
goblet gold grape gravel guitar hammer harbor hazel helmet hermit honey horizon hotel hunter igloo insect island
ivory jacket jaguar jelly jewel jigsaw jungle kettle kidney kitchen kiwi ladder lagoon lantern laundry lemon leopard
lettuce library lily lizard lobster locket magnet mango maple marble meadow melon meteor mirror monkey motor muffin
museum napkin nectar needle nickel noodle nutmeg oasis ocean olive onion orbit orchid otter oven oyster paddle
palace panda parrot pebble pencil pepper piano pigeon pillow pirate planet plum pocket polar pony potato pumpkin
puzzle quartz rabbit radar radio raven ribbon river robin rocket saddle salmon sandal scarf school season shadow
silver sister sketch spider spoon stable summer sunset tailor teapot temple thunder tiger tomato tractor tulip
turtle umbrella unicorn valley vanilla velvet violin volcano wagon walnut whale willow window winter wizard yogurt
zebra zipper
`
  .trim()
  .split(/\s+/);

/** The words of two nonces and two fingerprints, the initiator's first. */
export async function wordsOf(
  initiator: Uint8Array<ArrayBuffer>,
  joiner: Uint8Array<ArrayBuffer>,
  prints: readonly string[],
): Promise<string[]> {
  const hashed = await hash("words", initiator, joiner, new TextEncoder().encode(prints.join("\n")));
  return Array.from(hashed.subarray(0, 4), (byte) => WORDS[byte] ?? "");
}

/** SHA-256 of parts that can't be mistaken for each other: each comes after its length. */
export async function hash(label: string, ...parts: Uint8Array<ArrayBuffer>[]): Promise<Uint8Array> {
  const all = [new TextEncoder().encode(label), ...parts];
  const framed = all.flatMap((part) => [new Uint8Array(Uint32Array.of(part.length).buffer), part]);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await new Blob(framed).arrayBuffer()));
}
