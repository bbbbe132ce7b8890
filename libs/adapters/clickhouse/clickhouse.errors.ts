import { Fault } from '#core/faults.js';

/** Numbers of the engine's errors that say that a value does not fit its column: the same rows will never go in. */
const VALUE_ERRORS: ReadonlySet<number> = new Set([
  6, // CANNOT_PARSE_TEXT
  25, // CANNOT_PARSE_ESCAPE_SEQUENCE
  26, // CANNOT_PARSE_QUOTED_STRING
  27, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
  38, // CANNOT_PARSE_DATE
  41, // CANNOT_PARSE_DATETIME
  53, // TYPE_MISMATCH
  69, // ARGUMENT_OUT_OF_BOUND
  72, // CANNOT_PARSE_NUMBER
  117, // INCORRECT_DATA
  130, // CANNOT_READ_ARRAY_FROM_TEXT
  131, // TOO_LARGE_STRING_SIZE
  349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
]);

/** Those that say that a statement is wrong, or that it names what is not there. */
const STATEMENT_ERRORS: ReadonlySet<number> = new Set([
  36, // BAD_ARGUMENTS
  42, // NUMBER_OF_ARGUMENTS_DOESNT_MATCH
  43, // ILLEGAL_TYPE_OF_ARGUMENT
  46, // UNKNOWN_FUNCTION
  47, // UNKNOWN_IDENTIFIER
  60, // UNKNOWN_TABLE
  62, // SYNTAX_ERROR
  115, // UNKNOWN_SETTING
  215, // NOT_AN_AGGREGATE
  456, // UNKNOWN_QUERY_PARAMETER
  457, // BAD_QUERY_PARAMETER
]);

const UNKNOWN_TABLE = 60;
const UNKNOWN_DATABASE = 81;

/** Whether the database or a table of it is not there any more. */
export function isGone(error: unknown): boolean {
  if (!(error instanceof Fault)) return false;
  const { clickhouseCode } = error.data;
  return clickhouseCode === UNKNOWN_TABLE || clickhouseCode === UNKNOWN_DATABASE;
}

/** What an error of a query means to the caller. Whatever is not known to be ours may pass: memory, disk, time, a limit. */
export function queryFault(code: number | undefined, cause: Error): Fault {
  if (code !== undefined && STATEMENT_ERRORS.has(code))
    return new Fault('internal', { clickhouseCode: code }, { cause });
  return new Fault('history_unavailable', { clickhouseCode: code }, { cause });
}

/** What an error of an insert means to the caller. */
export function insertFault(code: number | undefined, cause: Error): Fault {
  if (code !== undefined && VALUE_ERRORS.has(code))
    return new Fault('record_unreadable', { clickhouseCode: code }, { cause });
  return queryFault(code, cause);
}
