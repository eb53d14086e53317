export { Eye } from "./eye.js";
export type {
  Autocapture, ErrorCode, Event, EyeError, Options, Problem, Rejection, Stats, TrackOptions, Wait,
} from "./options.js";
