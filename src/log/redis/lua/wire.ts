/**
 * About how many elements `:wire` holds: questions and answers, which matter for a second, and what tells that runs have changed. A node that
 * has missed more may hear of a stop only with the next renewal of its producer.
 */
export const WIRE_LENGTH = 256
