/** What pages ask the worker about sharing; a part of {@link Calls}. */
import type { Shared, ShareAsk, ShareNews } from './types';

export interface ShareCalls {
  share: { args: ShareAsk; value: Shared; news: ShareNews };
  shared: { args: null; value: Shared[]; news: never };
  endShare: { args: { readonly id: string }; value: undefined; news: never };
}
