// Starts the page's parts.

import { startAccount } from "./account.js";
import { startHealth } from "./health.js";
import { startMerchant } from "./merchant.js";
import { startSearch } from "./search.js";

startAccount();
startMerchant();
startSearch();
startHealth();
