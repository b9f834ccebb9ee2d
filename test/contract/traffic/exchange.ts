/** One call to Klaviyo as it went over the line, and what came back. */
export interface Exchange {
  method: string;
  /** As sent, encoded. */
  path: string;
  search: string;
  headers: Readonly<Record<string, string>>;
  /** Parsed; undefined without a body. */
  body: unknown;
  status: number;
  answerType: string;
  /** Parsed; undefined without a body, null where it is no JSON. */
  answer: unknown;
  /** The revision that was asked for. */
  sent: string;
  /** The revision that answered, in the sandbox's own judgement. */
  served: string;
}
