/** What the server tells of itself. */
export abstract class ServerInfo {
  abstract readonly version: string;
  abstract readonly discovery: boolean;
  abstract readonly poll: boolean;
  abstract readonly appUrls: readonly string[];
}
